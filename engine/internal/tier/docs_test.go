package tier

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aof-nats/aof-nats/engine/internal/segment"
)

// The section of the format page has the numbers of the code.
func TestFormatPageHasTheNumbersOfTheCode(t *testing.T) {
	b, err := os.ReadFile("../../../docs/segment-format.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(b), "\n## Warm and cold object\n")
	if !ok {
		t.Fatal("the page has no section about the object")
	}
	section = strings.Join(strings.Fields(section), " ")
	for _, sentence := range []string{
		fmt.Sprintf("bytes that follow: %d a frame + %d", seekTableEntryBytes, seekTableFootBytes),
		fmt.Sprintf("| %d | u8[%d n] |", seekTableHeadBytes, seekTableEntryBytes),
		fmt.Sprintf("n stands %d bytes before the end. The seek table has %d + %d n bytes", seekTableFootBytes-seekTableCountAt, seekTableBytes(0), seekTableEntryBytes),
		fmt.Sprintf("2 <= n <= %d", framesMax),
		fmt.Sprintf("at least %d compressed bytes and at most content bytes + content bytes / %d + %d", compressedFrameBytesMin, 1<<16/(compressedFrameBytesMax(1<<16)-compressedFrameBytesMax(0)-1<<16), compressedFrameBytesMax(0)),
		fmt.Sprintf("at most %d bytes", int64(segmentBytesMax)),
		fmt.Sprintf("with its content size unless that is under %d bytes", unsizedBytes),
		fmt.Sprintf("the last %d,%d bytes, or all", bareTailBytes/1000, bareTailBytes%1000),
		fmt.Sprintf("Its last %d bytes are the footer", segment.FooterBytes),
		fmt.Sprintf("The last %d bytes of the zstd frame", frameChecksumBytes),
		fmt.Sprintf("are %d,%03d bytes or more apart", segment.FrameBytes/1000, segment.FrameBytes%1000),
		"<segment id>_<base seq>_<sealed>" + WarmSuffix,
		fmt.Sprintf("three decimal numbers of %d digits", warmNumberWidth),
	} {
		if !strings.Contains(section, sentence) {
			t.Errorf("the page does not say %q", sentence)
		}
	}
}
