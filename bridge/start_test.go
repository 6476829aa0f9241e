package bridge

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/aof-nats/aof-nats/engine"
)

// A server that cannot listen is told at once.
func TestAServerWhoseAddressIsTakenFailsAtOnce(t *testing.T) {
	first := startServer(t, ServerOptions{})
	began := time.Now()
	second, err := StartServer(ServerOptions{Listen: strings.TrimPrefix(first.ClientURL(), "nats://")})
	if err == nil {
		second.Stop()
	}
	if err == nil || !strings.Contains(err.Error(), "address already in use") || time.Since(began) > serverReadyTimeout/2 {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
}

func TestStartRefusesWhatCannotWork(t *testing.T) {
	e := openEngine(t, engine.Options{})
	for name, test := range map[string]struct {
		options Options
		want    error
	}{
		"no engine":            {Options{}, ErrOptions},
		"bad log name":         {Options{Engine: e, Logs: []LogConfig{{Name: "a.b", Subjects: []string{"a"}}}}, ErrOptions},
		"log given twice":      {Options{Engine: e, Logs: []LogConfig{{Name: "A", Subjects: []string{"a"}}, {Name: "A", Subjects: []string{"b"}}}}, ErrOptions},
		"cold acks":            {Options{Engine: e, Logs: []LogConfig{{Name: "A", Subjects: []string{"a"}, Ack: engine.Cold}}}, ErrOptions},
		"negative limit":       {Options{Engine: e, Logs: []LogConfig{{Name: "A", Subjects: []string{"a"}, UnackedBytesMax: -1}}}, ErrOptions},
		"subject of NATS":      {Options{Engine: e, Logs: logsOn("$JS.API.>")}, ErrSubject},
		"subject of ours":      {Options{Engine: e, Prefix: "X.Y", Logs: logsOn("X.*.z")}, ErrSubject},
		"prefix with wildcard": {Options{Engine: e, Prefix: "A.*"}, ErrOptions},
		"prefix of the server": {Options{Engine: e, Prefix: "$AOF"}, ErrOptions},
		"domain with a quote":  {Options{Engine: e, Domain: `a"b`}, ErrOptions},
		"listen without port":  {Options{Engine: e, Listen: "127.0.0.1"}, ErrOptions},
		"listen on a word":     {Options{Engine: e, Listen: "127.0.0.1:nats"}, ErrOptions},
		"nkey file missing":    {Options{Engine: e, URLs: []string{"nats://127.0.0.1:1"}, NKeyFile: filepath.Join(t.TempDir(), "none")}, ErrOptions},
		"log option":           {Options{Engine: e, Listen: "127.0.0.1:0", Logs: []LogConfig{{Name: "A", Subjects: []string{"a"}, Options: engine.LogOptions{SegmentBytesMin: 1}}}}, engine.ErrInvalidOptions},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Start(testContext(t), test.options)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err == nil {
				t.Error(b.Stop(testContext(t)))
			}
		})
	}
}

func TestStartIsRefusedOnTheSubjectsOfAStream(t *testing.T) {
	s := startServer(t, ServerOptions{StoreDir: t.TempDir()})
	addStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "SHOP", Subjects: []string{"shop.*", "orders.*.new"}})
	_, err := Start(testContext(t), Options{Engine: openEngine(t, engine.Options{}), URLs: []string{s.ClientURL()}, Logs: ordersLog()})
	if !errors.Is(err, ErrOverlap) || !strings.Contains(err.Error(), "SHOP") {
		t.Errorf("got %v, want an overlap with SHOP", err)
	}
}

func TestStreamThatTakesOurSubjectsLaterSilencesTheLog(t *testing.T) {
	s := startServer(t, ServerOptions{StoreDir: t.TempDir()})
	var events eventRecorder
	b := startBridge(t, Options{
		URLs: []string{s.ClientURL()}, OnEvent: events.record,
		Logs: []LogConfig{{Name: "ORDERS", Subjects: []string{"orders.>"}}, {Name: "OTHER", Subjects: []string{"other"}}},
	})
	conn := connect(t, s.ClientURL())
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	if ack, err := js.Publish(testContext(t), "orders.a", nil); err != nil || ack.Stream != "ORDERS" {
		t.Fatalf("got %+v, %v", ack, err)
	}
	addStream(t, s.ClientURL(), jetstream.StreamConfig{Name: "LATER", Subjects: []string{"orders.*"}})
	eventually(t, "the overlap is seen", func() bool { return len(events.find(EventOverlapFound)) == 1 })
	if reasons := b.Ready(); len(reasons) != 1 || !strings.Contains(reasons[0], "LATER") {
		t.Errorf("readiness says %q", reasons)
	}
	for range 20 {
		if ack, err := js.Publish(testContext(t), "orders.a", nil); err != nil || ack.Stream != "LATER" {
			t.Fatalf("got %+v, %v: the log still answers", ack, err)
		}
	}
	if ack, err := js.Publish(testContext(t), "other", nil); err != nil || ack.Stream != "OTHER" {
		t.Errorf("got %+v, %v", ack, err)
	}
	if err := js.DeleteStream(testContext(t), "LATER"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the overlap is over", func() bool { return len(events.find(EventOverlapCleared)) == 1 && len(b.Ready()) == 0 })
	if ack, err := js.Publish(testContext(t), "orders.a", nil); err != nil || ack.Stream != "ORDERS" {
		t.Errorf("got %+v, %v", ack, err)
	}
}

// runPlainServer starts a server with options that ServerOptions does not have.
func runPlainServer(t *testing.T, options *server.Options) *server.Server {
	t.Helper()
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(testTimeout) {
		t.Fatal("the server does not accept connections")
	}
	return s
}

func TestBridgeLogsInAtServersElsewhere(t *testing.T) {
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	nkeyFile := filepath.Join(t.TempDir(), "user.nk")
	if err := os.WriteFile(nkeyFile, seed, 0o600); err != nil {
		t.Fatal(err)
	}
	nkey, err := nats.NkeyOptionFromSeed(nkeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		server    server.Options
		options   Options
		publisher nats.Option
	}{
		"user":            {server.Options{Username: "u", Password: "p"}, Options{User: "u", Password: "p"}, nats.UserInfo("u", "p")},
		"token":           {server.Options{Authorization: "s"}, Options{Token: "s"}, nats.Token("s")},
		"nkey":            {server.Options{Nkeys: []*server.NkeyUser{{Nkey: public}}}, Options{NKeyFile: nkeyFile}, nkey},
		"connect options": {server.Options{Authorization: "s"}, Options{ConnectOptions: []nats.Option{nats.Token("s")}}, nats.Token("s")},
	} {
		t.Run(name, func(t *testing.T) {
			s := runPlainServer(t, &test.server)
			test.options.URLs, test.options.Logs = []string{s.ClientURL()}, ordersLog()
			startBridge(t, test.options)
			answer, err := connect(t, s.ClientURL(), test.publisher).RequestWithContext(testContext(t), "orders.a", nil)
			if err != nil {
				t.Fatal(err)
			}
			expectStored(t, answer, 1)
			refused := Options{Engine: openEngine(t, engine.Options{}), URLs: []string{s.ClientURL()}, Logs: ordersLog()}
			if b, err := Start(testContext(t), refused); err == nil {
				t.Errorf("started without credentials: %v", b.Stop(testContext(t)))
			}
		})
	}
}

func TestStartFailsWithoutThePermissionToSubscribe(t *testing.T) {
	s := runPlainServer(t, &server.Options{Users: []*server.User{{
		Username: "u", Password: "p",
		Permissions: &server.Permissions{Subscribe: &server.SubjectPermission{Deny: []string{"orders.>"}}},
	}}})
	_, err := Start(testContext(t), Options{
		Engine: openEngine(t, engine.Options{}), URLs: []string{s.ClientURL()}, User: "u", Password: "p", Logs: ordersLog(),
	})
	if err == nil || !strings.Contains(err.Error(), "Permissions Violation") {
		t.Errorf("got %v", err)
	}
}

func TestMetricsAreExportedWhileTheBridgeRuns(t *testing.T) {
	registry := prometheus.NewRegistry()
	b := startBridge(t, Options{Registerer: registry, Logs: ordersLog()})
	if _, err := connect(t, b.ClientURL()).RequestWithContext(testContext(t), "orders.a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			values[family.GetName()] += metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"aof_bridge_intake_messages_total": 1, "aof_bridge_intake_bytes_total": float64(len("orders.a") + 1),
		"aof_bridge_connection_up": 1, "aof_bridge_refusals_total": 0, "aof_bridge_intake_gaps_total": 0,
	} {
		if got, ok := values[name]; !ok || got != want {
			t.Errorf("%s: got %v, %v; want %v", name, got, ok, want)
		}
	}
	if err := b.Stop(testContext(t)); err != nil {
		t.Fatal(err)
	}
	if families, err := registry.Gather(); err != nil || len(families) != 0 {
		t.Errorf("%d metrics are left, %v", len(families), err)
	}
}
