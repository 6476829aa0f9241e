package command

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// serveFlags are what `serve` was called with.
type serveFlags struct {
	root         string
	listen       string
	nats         []string
	elsewhere    bool // nats was given
	connection   connection
	http         string
	profiles     bool
	bucket       string
	logs         []string
	ack          string
	segmentBytes byteSize
	segmentAge   time.Duration
	hotBytes     byteSize
	warmBytes    byteSize
	drainTimeout time.Duration
	logLevel     string
}

func (a *app) serveCommand() *cobra.Command {
	f := serveFlags{segmentBytes: 64 << 20, hotBytes: 4 << 30, warmBytes: 16 << 30}
	called := &cobra.Command{
		Use:   "serve --root DIR --log NAME=SUBJECT[,SUBJECT]...",
		Short: "Store NATS subjects in logs",
		Long: `Opens the root, recovers its logs, subscribes, and acknowledges every message
once its record is as safe as the log's ack level says. Runs an embedded NATS
server unless --nats names one elsewhere.

With --bucket, sealed segments are compressed, uploaded, and dropped from the
local disk as --hot-bytes and --warm-bytes ask for; they are read back the same
way wherever they are. Without it, nothing leaves the local disk: segments are
compressed when --hot-bytes fills up, and publishers are refused when
--warm-bytes is full too. A disk that is full before them bounds both.

Logs on disk that no --log names are opened for reading and take no messages.

SIGTERM and SIGINT drain: no more messages are taken, what was taken is stored
and acknowledged, and the logs are closed. A second signal ends the process at
once; nothing that was acknowledged is lost.`,
		Example: `  aof-nats serve --root /var/lib/aof-nats --log ORDERS='orders.>'
  aof-nats serve --root ./root --log ORDERS='orders.>,returns.*' --log QUAKES='quakes.>' --nats nats://nats.example:4222
  aof-nats serve --root ./root --log ORDERS='orders.>' --bucket file:///mnt/archive --hot-bytes 1GiB --warm-bytes 4GiB`,
		Args: cobra.NoArgs,
	}
	called.RunE = a.run(func(ctx context.Context, _ []string) error {
		f.elsewhere = called.Flags().Changed("nats")
		config, err := f.config(a.env.Getenv)
		if err != nil {
			return err
		}
		release := tuneRuntime(a.env.Getenv)
		defer release()
		return a.serve(ctx, config)
	})
	flags := called.Flags()
	flags.StringVar(&f.root, "root", "", "directory of the logs; made if there is none")
	flags.StringArrayVar(&f.logs, "log", nil, "a log and the subjects that it stores, as NAME=SUBJECT,SUBJECT; repeat for more logs")
	flags.StringVar(&f.ack, "ack", "durable", "when publishers are acknowledged unless they ask otherwise: durable or written")
	flags.StringVar(&f.listen, "listen", "127.0.0.1:4222", "address of the embedded NATS server; port 0 takes a free one")
	flags.StringSliceVar(&f.nats, "nats", nil, "URLs of a NATS server elsewhere, instead of the embedded one; must not be empty")
	f.connection.addCredentialsTo(flags)
	flags.StringVar(&f.http, "http", "127.0.0.1:9225", "address of /healthz, /readyz and /metrics; port 0 takes a free one, empty turns it off")
	flags.BoolVar(&f.profiles, "pprof", false, "serve profiles of this process under /debug/pprof of --http")
	flags.Var(&f.segmentBytes, "segment-bytes", "size that segments grow up to")
	flags.DurationVar(&f.segmentAge, "segment-age", 0, "seal a segment at this age; 0: only when it is full")
	flags.Var(&f.hotBytes, "hot-bytes", "limit of the local bytes of all logs together; 0: the default")
	flags.Var(&f.warmBytes, "warm-bytes", "limit of the local bytes of all compressed segments together; 0: the default")
	flags.StringVar(&f.bucket, "bucket", "", "URL of the object store that is the cold tier, as file:///directory; without it nothing leaves the local disk")
	flags.DurationVar(&f.drainTimeout, "drain-timeout", 30*time.Second, "how long stopping may take before those who wait are refused")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	return called
}
