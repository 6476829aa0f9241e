package wire

import "testing"

func TestMessagesThatWereNotWrittenAreCounted(t *testing.T) {
	o := newOutbound(1<<10, 0)
	for _, lines := range []string{"PUB a 9\r\nPUB b 1\r\n\r\n", "HPUB c 12 13\r\nNATS/1.0\r\n\r\nx\r\nPUB d 0\r\n\r\n"} {
		if err := o.add([]byte(lines)); err != nil {
			t.Fatal(err)
		}
	}
	o.close()
	if got := o.unsent(); got != 3 {
		t.Errorf("%d messages are unsent, want 3", got)
	}
}
