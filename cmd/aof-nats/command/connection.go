package command

import (
	"github.com/spf13/pflag"

	"github.com/aof-nats/aof-nats/bridge/client"
)

// connection is the flags that say how to reach a NATS server, with the names
// of the nats command.
type connection struct {
	given client.Options
}

// addTo adds all of them.
func (c *connection) addTo(flags *pflag.FlagSet) {
	flags.StringVarP(&c.given.Server, "server", "s", "", "NATS server URLs, separated by commas (default "+client.DefaultServer+", $NATS_URL)")
	c.addCredentialsTo(flags)
	flags.DurationVar(&c.given.Timeout, "timeout", 0, "how long to wait for the connection and for each answer (default 5s, $NATS_TIMEOUT)")
}

func (c *connection) addCredentialsTo(flags *pflag.FlagSet) {
	flags.StringVar(&c.given.Creds, "creds", "", "credentials file ($NATS_CREDS)")
	flags.StringVar(&c.given.NKey, "nkey", "", "nkey seed file ($NATS_NKEY)")
	flags.StringVar(&c.given.User, "user", "", "user, or a token if no password is given ($NATS_USER)")
	flags.StringVar(&c.given.Password, "password", "", "password ($NATS_PASSWORD)")
	flags.StringVar(&c.given.TLSCert, "tlscert", "", "TLS client certificate file ($NATS_CERT)")
	flags.StringVar(&c.given.TLSKey, "tlskey", "", "TLS client key file ($NATS_KEY)")
	flags.StringVar(&c.given.TLSCA, "tlsca", "", "file of the certificates that the server is checked against ($NATS_CA)")
}

// options are the flags over the environment. A way to log in that is given by
// flag replaces whatever the environment has.
func (c *connection) options(getenv func(string) string) (client.Options, error) {
	o, err := client.FromEnvironment(getenv)
	if err != nil {
		return o, err
	}
	given := c.given
	if given.Creds != "" || given.NKey != "" || given.User != "" {
		o.Creds, o.NKey, o.User, o.Password = given.Creds, given.NKey, given.User, ""
	}
	for _, field := range []struct {
		value *string
		given string
	}{
		{&o.Server, given.Server}, {&o.Password, given.Password},
		{&o.TLSCert, given.TLSCert}, {&o.TLSKey, given.TLSKey}, {&o.TLSCA, given.TLSCA},
	} {
		if field.given != "" {
			*field.value = field.given
		}
	}
	if given.Timeout < 0 {
		return o, usagef("--timeout is negative")
	}
	if given.Timeout > 0 {
		o.Timeout = given.Timeout
	}
	return o, o.Validate()
}
