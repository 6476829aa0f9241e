package wire

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/nats-io/nats.go"
)

// connectRequest is the argument of CONNECT.
type connectRequest struct {
	Verbose     bool   `json:"verbose"`
	Pedantic    bool   `json:"pedantic"`
	Echo        bool   `json:"echo"`
	Headers     bool   `json:"headers"`
	TLSRequired bool   `json:"tls_required"`
	Name        string `json:"name,omitempty"`
	Lang        string `json:"lang"`
	Version     string `json:"version"`
	Protocol    int    `json:"protocol"`
	JWT         string `json:"jwt,omitempty"`
	Nkey        string `json:"nkey,omitempty"`
	Signature   string `json:"sig,omitempty"`
	User        string `json:"user,omitempty"`
	Password    string `json:"pass,omitempty"`
	Token       string `json:"auth_token,omitempty"`
}

// newConnectRequest fills in who we are: what stands in the URL wins over user,
// password, token and nkey of the options, as in nats.go.
func newConnectRequest(o *nats.Options, u *url.URL, info serverInfo, secure bool) (connectRequest, error) {
	request := connectRequest{
		Headers: info.Headers, TLSRequired: secure, Name: o.Name,
		Lang: "go", Version: nats.Version, Protocol: 1,
	}
	switch password, hasPassword := u.User.Password(); {
	case u.User != nil && hasPassword:
		request.User, request.Password = u.User.Username(), password
	case u.User != nil:
		request.Token = u.User.Username()
	default:
		request.User, request.Password = o.User, o.Password
		request.Token, request.Nkey = o.Token, o.Nkey
		if o.UserInfo != nil {
			request.User, request.Password = o.UserInfo()
		}
		if o.TokenHandler != nil {
			request.Token = o.TokenHandler()
		}
	}
	err := request.sign(o, info.Nonce)
	return request, err
}

// sign adds the user's JWT and proves the possession of the key by signing the
// server's nonce.
func (r *connectRequest) sign(o *nats.Options, nonce string) error {
	if o.UserJWT != nil {
		jwt, err := o.UserJWT()
		if err != nil {
			return fmt.Errorf("read user JWT: %w", err)
		}
		r.JWT, r.Nkey = jwt, ""
	}
	if r.JWT == "" && r.Nkey == "" {
		return nil
	}
	if o.SignatureCB == nil {
		return errors.New("wire: a JWT or nkey is given without a key to sign with")
	}
	if nonce == "" && r.JWT == "" {
		return errors.New("wire: the server does not offer nkey authentication")
	}
	signature, err := o.SignatureCB([]byte(nonce))
	if err != nil {
		return fmt.Errorf("sign the server's nonce: %w", err)
	}
	r.Signature = base64.RawURLEncoding.EncodeToString(signature)
	return nil
}

// line is the request as it goes over the wire, with a PING behind it whose
// answer proves that the server accepted it.
func (r *connectRequest) line() ([]byte, error) {
	argument, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode CONNECT: %w", err)
	}
	return fmt.Appendf(nil, "CONNECT %s\r\nPING\r\n", argument), nil
}
