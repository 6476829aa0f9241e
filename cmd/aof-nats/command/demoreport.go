package command

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// demoReport is what `demo --json` prints.
type demoReport struct {
	Records        uint64         `json:"records"`
	Acked          uint64         `json:"acked"`
	Lost           uint64         `json:"lost"`
	Invented       uint64         `json:"invented"`
	Duplicates     uint64         `json:"duplicates"`
	Refused        uint64         `json:"refused"`
	Kills          uint64         `json:"kills"`
	InFlightAtKill uint64         `json:"in_flight_at_kill"`
	Segments       tierCounts     `json:"segments"`
	Bytes          tierBytes      `json:"bytes"`
	Ratio          float64        `json:"ratio"`
	AcksPerSecond  float64        `json:"acks_per_s"`
	AckP50         float64        `json:"ack_p50_ms"`
	AckP99         float64        `json:"ack_p99_ms"`
	ColdReadP50    float64        `json:"cold_read_p50_ms"`
	BucketRequests bucketRequests `json:"bucket_requests"`

	unacked uint64
	order   error // the log's is not the source's
	first   error // of the differences
}

// errDiffers is matched by the error for a log that is not what was published.
var errDiffers = errors.New("the log is not what was published")

func rounded(x float64) float64 { return math.Round(x*1000) / 1000 }

// addPublished notes what publishing came to.
func (r *demoReport) addPublished(p *demoPublisher) {
	r.Acked, r.Refused = p.answers.acked, p.answers.refused
	if p.elapsed > 0 {
		r.AcksPerSecond = math.Round(float64(r.Acked) / p.elapsed.Seconds())
	}
	r.AckP50, r.AckP99 = percentile(p.answers.ackTimes, 0.50), percentile(p.answers.ackTimes, 0.99)
	for i := range p.ledger.events {
		switch seq := p.ledger.events[i].seq; {
		case seq == 0:
			r.unacked++
		case r.Refused == 0 && seq != uint64(i+1) && r.order == nil:
			r.order = fmt.Errorf("event %d of the source was acknowledged as sequence %d, though none was refused before", i+1, seq)
		}
	}
}

// addRead notes what reading back came to.
func (r *demoReport) addRead(reader *demoReader, took []time.Duration) {
	c := reader.compared
	r.Records, r.Lost, r.Invented, r.Duplicates = reader.records, uint64(len(c.lost)), uint64(len(c.invented)), uint64(len(c.duplicates))
	r.first = c.first
	r.ColdReadP50 = percentile(took, 0.50)
}

// verdict is an error if anything is not as it must be.
func (r *demoReport) verdict(events int) error {
	switch {
	case r.first != nil || r.Lost+r.Invented+r.Duplicates > 0:
		return fmt.Errorf("%w: %d lost, %d invented, %d duplicates; the first: %w", errDiffers, r.Lost, r.Invented, r.Duplicates, r.first)
	case r.order != nil:
		return fmt.Errorf("%w: %w", errDiffers, r.order)
	case r.unacked > 0 || r.Records != uint64(events) || r.Acked != uint64(events):
		return fmt.Errorf("%w: %d events, %d acknowledged, %d records", errDiffers, events, r.Acked, r.Records)
	}
	return nil
}

// write prints the report and gives the verdict.
func (r *demoReport) write(d *demo) error {
	verdict := r.verdict(len(d.ledger.events))
	if d.app.json {
		return errors.Join(printJSON(d.app.env.Stdout, r), verdict)
	}
	d.say("")
	var f facts
	f.add("Records", fmt.Sprintf("%s of %s", formatCount(r.Records), plural(len(d.ledger.events), "event")))
	f.add("Lost, invented, doubled", fmt.Sprintf("%d, %d, %d", r.Lost, r.Invented, r.Duplicates))
	f.add("Killed", fmt.Sprintf("%s, with %s unacknowledged publishes in flight", times(r.Kills), formatCount(r.InFlightAtKill)))
	f.add("Hot", fmt.Sprintf("%s, %s", plural(r.Segments.Hot, "segment"), formatBytes(r.Bytes.Hot)))
	f.add("Warm", fmt.Sprintf("%s, %s", plural(r.Segments.Warm, "segment"), formatBytes(r.Bytes.Warm)))
	f.add("Cold", fmt.Sprintf("%s, %s in all; %.1f times smaller than the %s that they were", plural(r.Segments.Cold, "segment"),
		formatBytes(r.Bytes.Cold), r.Ratio, formatBytes(r.Bytes.Raw)))
	f.add("Durable acks", fmt.Sprintf("%s/s, p50 %.1f ms, p99 %.1f ms", formatCount(int64(r.AcksPerSecond)), r.AckP50, r.AckP99))
	f.add("Cold read of one record", fmt.Sprintf("p50 %.1f ms", r.ColdReadP50))
	b := r.BucketRequests
	f.add("Bucket requests", fmt.Sprintf("%d put, %d get, %d list, %d delete", b.Put, b.Get, b.List, b.Delete))
	if err := f.write(d.app.env.Stdout); err != nil {
		return errors.Join(err, verdict)
	}
	r.suggest(d)
	return verdict
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// suggest prints commands to go on with.
func (r *demoReport) suggest(d *demo) {
	d.say("")
	if !d.kept() {
		d.say("The files are removed. To look around in them: aof-nats demo --root DIR, or --keep for a running bridge.")
		return
	}
	d.say("Next:")
	if d.flags.keep {
		d.say("  aof-nats read %s -s %s --subject '%s'", d.log, d.bridge.NATSURL, d.ledger.groups[0])
		d.say("  curl %s/metrics", d.bridge.HTTPURL)
	}
	d.say("  aof-nats log info %s --root '%s'", d.log, d.root)
	d.say("  aof-nats read %s --root '%s' --from-seq 1 --limit 3", d.log, d.root)
	d.say("  aof-nats fsck '%s' --deep", d.root)
}
