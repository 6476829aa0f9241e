package wire

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// expectWorks connects and shows that a message comes through.
func expectWorks(t *testing.T, options nats.Options) {
	t.Helper()
	handler := &recorder{}
	c := open(t, Options{NATS: options, Handler: handler}, "a")
	publisher, err := options.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	if err := publisher.Publish("a", []byte("in")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the message", func() bool { return slices.Equal(handler.payloads(), []string{"in"}) })
	if !c.Connected() {
		t.Error("not connected")
	}
}

func expectRefused(t *testing.T, options nats.Options) {
	t.Helper()
	c, err := New(Options{NATS: options, Handler: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *ServerError
	if err := c.Connect(testContext(t)); !errors.As(err, &refused) {
		t.Errorf("got %v, want the server's refusal", err)
	}
}

func TestUserAndPassword(t *testing.T) {
	s := runServer(t, &server.Options{Username: "u", Password: "p"})
	expectWorks(t, natsOptions([]string{s.ClientURL()}, nats.UserInfo("u", "p")))
	expectWorks(t, natsOptions([]string{fmt.Sprintf("nats://u:p@%s", s.Addr())}))
	expectRefused(t, natsOptions([]string{s.ClientURL()}, nats.UserInfo("u", "wrong")))
	expectRefused(t, natsOptions([]string{s.ClientURL()}))
}

func TestToken(t *testing.T) {
	s := runServer(t, &server.Options{Authorization: "secret"})
	expectWorks(t, natsOptions([]string{s.ClientURL()}, nats.Token("secret")))
	expectWorks(t, natsOptions([]string{fmt.Sprintf("nats://secret@%s", s.Addr())}))
	expectWorks(t, natsOptions([]string{s.ClientURL()}, nats.TokenHandler(func() string { return "secret" })))
	expectRefused(t, natsOptions([]string{s.ClientURL()}, nats.Token("wrong")))
}

func TestNkey(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, seed := keyStrings(t, user)
	s := runServer(t, &server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}})
	file := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(file, []byte(seed), 0o600); err != nil {
		t.Fatal(err)
	}
	option, err := nats.NkeyOptionFromSeed(file)
	if err != nil {
		t.Fatal(err)
	}
	expectWorks(t, natsOptions([]string{s.ClientURL()}, option))
	expectRefused(t, natsOptions([]string{s.ClientURL()}))
}

func keyStrings(t *testing.T, pair nkeys.KeyPair) (public, seed string) {
	t.Helper()
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := pair.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return public, string(secret)
}

func TestCredentialsFile(t *testing.T) {
	operator, account, user := newKey(t, nkeys.CreateOperator), newKey(t, nkeys.CreateAccount), newKey(t, nkeys.CreateUser)
	operatorPublic, _ := keyStrings(t, operator)
	accountPublic, _ := keyStrings(t, account)
	userPublic, userSeed := keyStrings(t, user)
	accountJWT := encode(t, jwt.NewAccountClaims(accountPublic), operator)
	userJWT := encode(t, jwt.NewUserClaims(userPublic), account)
	resolver := &server.MemAccResolver{}
	if err := resolver.Store(accountPublic, accountJWT); err != nil {
		t.Fatal(err)
	}
	s := runServer(t, &server.Options{
		TrustedOperators: []*jwt.OperatorClaims{jwt.NewOperatorClaims(operatorPublic)}, AccountResolver: resolver,
	})
	creds, err := jwt.FormatUserConfig(userJWT, []byte(userSeed))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "user.creds")
	if err := os.WriteFile(file, creds, 0o600); err != nil {
		t.Fatal(err)
	}
	expectWorks(t, natsOptions([]string{s.ClientURL()}, nats.UserCredentials(file)))
	expectRefused(t, natsOptions([]string{s.ClientURL()}))
}

func newKey(t *testing.T, create func() (nkeys.KeyPair, error)) nkeys.KeyPair {
	t.Helper()
	pair, err := create()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

func encode(t *testing.T, claims jwt.Claims, signer nkeys.KeyPair) string {
	t.Helper()
	token, err := claims.Encode(signer)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTLS(t *testing.T) {
	serverConfig, roots := selfSigned(t)
	trusting := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	t.Run("the server requires it", func(t *testing.T) {
		s := runServer(t, &server.Options{TLS: true, TLSConfig: serverConfig})
		expectWorks(t, natsOptions([]string{"nats://" + s.Addr().String()}, nats.Secure(trusting)))
		expectWorks(t, natsOptions([]string{"tls://" + s.Addr().String()}, nats.Secure(trusting)))
		options := natsOptions([]string{"nats://" + s.Addr().String()})
		options.TLSConfig = trusting // not asked for by the client
		expectWorks(t, options)
		c, err := New(Options{NATS: natsOptions([]string{"tls://" + s.Addr().String()}), Handler: &recorder{}})
		if err != nil {
			t.Fatal(err)
		}
		var unknown x509.UnknownAuthorityError
		if err := connectBriefly(t, c); !errors.As(err, &unknown) {
			t.Errorf("got %v, want an unknown authority", err)
		}
	})
	t.Run("handshake first", func(t *testing.T) {
		s := runServer(t, &server.Options{TLS: true, TLSConfig: serverConfig, TLSHandshakeFirst: true})
		expectWorks(t, natsOptions([]string{"nats://" + s.Addr().String()}, nats.Secure(trusting), nats.TLSHandshakeFirst()))
	})
	t.Run("the server has none", func(t *testing.T) {
		s := runServer(t, &server.Options{})
		c, err := New(Options{NATS: natsOptions([]string{s.ClientURL()}, nats.Secure(trusting)), Handler: &recorder{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := connectBriefly(t, c); err == nil {
			t.Error("connected in the clear")
			c.Close()
		}
	})
}

// connectBriefly gives up at the first failure.
func connectBriefly(t *testing.T, c *Conn) error {
	t.Helper()
	ctx := testContext(t)
	st, err := c.connectAny(ctx, func(error) bool { return true })
	if err == nil {
		return st.conn.Close()
	}
	return err
}

// selfSigned makes a certificate for 127.0.0.1 and the pool that trusts it.
func selfSigned(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12,
	}, roots
}
