package segment

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/minio/crc64nvme"
)

var (
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
	littleEndian = binary.LittleEndian
)

// CRC64 returns the CRC-64/NVME of b, the checksum of whole files and blocks.
func CRC64(b []byte) uint64 { return crc64nvme.Checksum(b) }

// UpdateCRC64 returns the CRC-64/NVME of the bytes that crc covers followed by
// b. The CRC of no bytes is 0, so a running sum starts there.
func UpdateCRC64(crc uint64, b []byte) uint64 { return crc64nvme.Update(crc, b) }

// crc32c returns the unseeded CRC-32C of b: that of headers and footers.
func crc32c(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// align8 rounds up to a multiple of 8, the alignment of records and blocks.
func align8[T int | int64](n T) T { return (n + 7) &^ 7 }
