package client

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func TestOptionsComeFromTheVariablesOfTheNATSCommand(t *testing.T) {
	variables := map[string]string{
		"NATS_URL": "nats://one:1", "NATS_CREDS": "c", "NATS_NKEY": "n", "NATS_USER": "u", "NATS_PASSWORD": "p",
		"NATS_CERT": "cert", "NATS_KEY": "key", "NATS_CA": "ca", "NATS_TIMEOUT": "3s",
	}
	got, err := FromEnvironment(func(name string) string { return variables[name] })
	want := Options{
		Server: "nats://one:1", Creds: "c", NKey: "n", User: "u", Password: "p",
		TLSCert: "cert", TLSKey: "key", TLSCA: "ca", Timeout: 3 * time.Second,
	}
	if err != nil || got != want {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := FromEnvironment(func(string) string { return "soon" }); !errors.Is(err, ErrOptions) {
		t.Fatalf("a timeout that is no duration: %v", err)
	}
}

func TestOptionsThatCannotWorkAreRefusedBeforeConnecting(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, o := range map[string]Options{
		"certificate without key":  {TLSCert: "cert"},
		"key without certificate":  {TLSKey: "key"},
		"password without user":    {Password: "p"},
		"nkey file that is absent": {NKey: missing},
		"CA file that is absent":   {TLSCA: missing},
		"certificate that is none": {TLSCert: missing, TLSKey: missing},
	} {
		if err := o.Validate(); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Connect(testContext(t), Options{Creds: missing}); !errors.Is(err, ErrOptions) {
		t.Errorf("credentials file that is absent: %v", err)
	}
}

func TestWrongCredentialsAreAnErrorOfAuthentication(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true, Username: "u", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server does not accept connections")
	}
	connect(t, Options{Server: s.ClientURL(), User: "u", Password: "secret"})
	_, err = Connect(testContext(t), Options{Server: strings.Replace(s.ClientURL(), "nats://", "nats://u:guess@", 1)})
	if !errors.Is(err, ErrAuthentication) {
		t.Fatalf("got %v", err)
	}
	if strings.Contains(err.Error(), "guess") {
		t.Fatalf("the error shows the password: %v", err)
	}
}

func TestPasswordsAndTokensAreTakenOutOfURLs(t *testing.T) {
	for in, want := range map[string]string{
		"nats://host:4222":                "nats://host:4222",
		"nats://u:p@host":                 "nats://u:xxxxx@host",
		"nats://token@host, nats://other": "nats://xxxxx@host,nats://other",
	} {
		if got := redact(in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
}
