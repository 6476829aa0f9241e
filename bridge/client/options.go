package client

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Options say where a NATS server is and how to log in. The zero value connects
// to DefaultServer without credentials.
type Options struct {
	// Server is one URL or several, separated by commas.
	Server string
	// Name is shown in the server's list of connections. Default "aof-nats".
	Name string
	// Creds is the path of a credentials file, NKey that of an nkey seed.
	Creds string
	NKey  string
	// User and Password log in; a User without Password is taken for a token.
	User     string
	Password string
	// TLSCert and TLSKey are the paths of a client certificate and its key,
	// TLSCA that of the certificates that the server is checked against.
	TLSCert string
	TLSKey  string
	TLSCA   string
	// Timeout bounds connecting and every request. Default 5 seconds.
	Timeout time.Duration
	// Reconnect makes a lost connection anew, for ever: for reading, which goes
	// on where it was. Publishing does not: what was in flight is in doubt.
	Reconnect bool
}

// DefaultServer is where a server is expected when none is named.
const DefaultServer = "nats://127.0.0.1:4222"

const (
	nameDefault    = "aof-nats"
	timeoutDefault = 5 * time.Second
	reconnectWait  = 250 * time.Millisecond
)

// FromEnvironment returns the options that the variables of the nats command
// ask for: NATS_URL, NATS_CREDS, NATS_NKEY, NATS_USER, NATS_PASSWORD, NATS_CERT,
// NATS_KEY, NATS_CA and NATS_TIMEOUT. getenv looks a variable up, as os.Getenv
// does.
func FromEnvironment(getenv func(string) string) (Options, error) {
	o := Options{
		Server: getenv("NATS_URL"), Creds: getenv("NATS_CREDS"), NKey: getenv("NATS_NKEY"),
		User: getenv("NATS_USER"), Password: getenv("NATS_PASSWORD"),
		TLSCert: getenv("NATS_CERT"), TLSKey: getenv("NATS_KEY"), TLSCA: getenv("NATS_CA"),
	}
	text := getenv("NATS_TIMEOUT")
	if text == "" {
		return o, nil
	}
	var err error
	if o.Timeout, err = time.ParseDuration(text); err != nil {
		return o, fmt.Errorf("%w: NATS_TIMEOUT=%q is no duration, such as 5s", ErrOptions, text)
	}
	return o, nil
}

// Validate reports an error that matches ErrOptions if the options contradict
// each other or name a file that cannot be used. It does not connect.
func (o Options) Validate() error {
	_, err := o.natsOptions()
	return err
}

// Authentication returns the options of the NATS library that log in and set
// TLS up, for a connection that somebody else makes. The error matches
// ErrOptions.
func (o Options) Authentication() ([]nats.Option, error) {
	var list []nats.Option
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return nil, fmt.Errorf("%w: a TLS certificate and its key go together", ErrOptions)
	case o.Password != "" && o.User == "":
		return nil, fmt.Errorf("%w: a password needs a user", ErrOptions)
	}
	if o.Creds != "" {
		list = append(list, nats.UserCredentials(o.Creds))
	}
	if o.NKey != "" {
		nkey, err := nats.NkeyOptionFromSeed(o.NKey)
		if err != nil {
			return nil, fmt.Errorf("%w: read nkey seed: %w", ErrOptions, err)
		}
		list = append(list, nkey)
	}
	switch {
	case o.User != "" && o.Password == "":
		list = append(list, nats.Token(o.User))
	case o.User != "":
		list = append(list, nats.UserInfo(o.User, o.Password))
	}
	if o.TLSCert != "" {
		list = append(list, nats.ClientCert(o.TLSCert, o.TLSKey))
	}
	if o.TLSCA != "" {
		list = append(list, nats.RootCAs(o.TLSCA))
	}
	return list, nil
}

// natsOptions applies all options, which reads the files that they name.
func (o Options) natsOptions() (nats.Options, error) {
	o.ensureDefaults()
	list, err := o.Authentication()
	if err != nil {
		return nats.Options{}, err
	}
	options := nats.GetDefaultOptions()
	options.Servers, options.Name, options.Timeout = o.servers(), o.Name, o.Timeout
	options.AllowReconnect = o.Reconnect // without it, what was in flight is lost: the caller is to know
	options.MaxReconnect, options.ReconnectWait = -1, reconnectWait
	for _, option := range list {
		if err := option(&options); err != nil {
			return nats.Options{}, fmt.Errorf("%w: %w", ErrOptions, err)
		}
	}
	return options, nil
}

// servers are the URLs of Server.
func (o Options) servers() []string {
	list := strings.Split(o.Server, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func (o *Options) ensureDefaults() {
	if o.Server == "" {
		o.Server = DefaultServer
	}
	if o.Name == "" {
		o.Name = nameDefault
	}
	if o.Timeout == 0 {
		o.Timeout = timeoutDefault
	}
}
