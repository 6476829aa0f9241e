package wire

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
)

// endpoint is one place to connect to.
type endpoint struct {
	url        *url.URL
	tlsName    string // host name to verify a bare address against
	discovered bool   // learned from an INFO line, not configured
}

// serverPool is the list of servers, tried one after the other. It is used by
// one goroutine.
type serverPool struct {
	servers []*endpoint
	current int
	ignore  bool // discovered servers are not wanted
}

func newServerPool(o *nats.Options) (*serverPool, error) {
	addresses := slices.Clone(o.Servers)
	if !o.NoRandomize {
		rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	}
	if o.Url != "" {
		addresses = append([]string{o.Url}, addresses...)
	}
	if len(addresses) == 0 {
		addresses = []string{nats.DefaultURL}
	}
	urls, err := ParseServers(addresses)
	if err != nil {
		return nil, err
	}
	pool := &serverPool{current: -1, ignore: o.IgnoreDiscoveredServers}
	for _, u := range urls {
		pool.servers = append(pool.servers, &endpoint{url: u})
	}
	return pool, nil
}

// ParseServers checks and completes lists of server URLs, each separated by commas.
// Errors do not tell their secrets.
func ParseServers(lists []string) (urls []*url.URL, err error) {
	for _, list := range lists {
		for address := range strings.SplitSeq(list, ",") {
			u, err := parseServerURL(strings.TrimSpace(address))
			if err != nil {
				return nil, err
			}
			urls = append(urls, u)
		}
	}
	return urls, nil
}

// Redact is a server URL without its secrets: a user without a password is a token.
func Redact(u *url.URL) string {
	if _, hasPassword := u.User.Password(); u.User == nil || hasPassword {
		return u.Redacted()
	}
	shown := *u
	shown.User = url.User("xxxxx")
	return shown.String()
}

// parseServerURL completes scheme and port as NATS clients do.
func parseServerURL(address string) (*url.URL, error) {
	if !strings.Contains(address, "://") {
		address = "nats://" + address
	}
	u, err := url.Parse(address)
	var malformed *url.Error
	if errors.As(err, &malformed) {
		err = malformed.Err // which does not have the URL
	}
	if err != nil {
		return nil, fmt.Errorf("parse server URL: %w", err)
	}
	if u.Scheme != "nats" && u.Scheme != "tls" {
		return nil, fmt.Errorf("server URL %s: the scheme is not nats or tls", Redact(u))
	}
	if u.Hostname() == "" {
		return nil, fmt.Errorf("server URL %s: no host", Redact(u))
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "4222")
	}
	return u, nil
}

// next moves to the next server of the list, from the last to the first.
func (p *serverPool) next() *endpoint {
	p.current = (p.current + 1) % len(p.servers)
	return p.servers[p.current]
}

// hasOther reports whether there is a server besides the current one.
func (p *serverPool) hasOther() bool { return len(p.servers) > 1 }

// discover takes over the cluster's list from an INFO line: new addresses join,
// discovered ones that are gone leave, configured ones stay.
func (p *serverPool) discover(addresses []string) {
	if p.ignore || len(addresses) == 0 || p.current < 0 {
		return
	}
	current := p.servers[p.current]
	p.servers = slices.DeleteFunc(p.servers, func(s *endpoint) bool {
		return s != current && s.discovered && !slices.Contains(addresses, s.url.Host)
	})
	known := func(address string) bool {
		return slices.ContainsFunc(p.servers, func(s *endpoint) bool { return s.url.Host == address })
	}
	tlsName := current.tlsName
	if host := current.url.Hostname(); tlsName == "" && net.ParseIP(host) == nil {
		tlsName = host
	}
	for _, address := range addresses {
		u, err := parseServerURL(current.url.Scheme + "://" + address)
		if err != nil || known(address) {
			continue
		}
		u.User = current.url.User
		p.servers = append(p.servers, &endpoint{url: u, tlsName: tlsName, discovered: true})
	}
	p.current = slices.Index(p.servers, current)
}
