package spool

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"time"
)

// ID names a record: the millisecond it was stored at (6 bytes), a counter
// within it (2 bytes), and a check sum of both (4 bytes), all big-endian, so
// that ids sort as their records lie.
type ID [12]byte

// newID returns the id with the sort key n.
func newID(n int64) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:], uint64(n))
	binary.BigEndian.PutUint32(id[8:], crc32.Checksum(id[:8], castagnoli))
	return id
}

// nextID returns the id of a record stored at now, later than last even if the
// clock went back.
func nextID(last ID, now time.Time) ID {
	return newID(max(now.UnixMilli()<<16, last.Key()+1))
}

// FromKey returns the id whose [ID.Key] is key.
func FromKey(key int64) ID { return newID(key) }

// Key returns the part of the id that orders it, always positive.
func (id ID) Key() int64 { return int64(binary.BigEndian.Uint64(id[:8])) }

// String returns 24 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads what [ID.String] wrote and nothing else.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return ID{}, ErrNotFound
	}
	copy(id[:], b)
	if id != newID(id.Key()) || id.Key() < 0 || id.String() != s {
		return ID{}, ErrNotFound
	}
	return id, nil
}

// A segment begins with a head:
//
//	"invspool" 8 | version 4 | mark 8 | floor 8 | CRC-32C of the 28 bytes before 4
//
// and each record is
//
//	mark 8 | key 8 | envelope length 4 | raw length 4 | CRC-32C of both 4 |
//	CRC-32C of the 28 bytes before 4 | envelope | raw
//
// The mark is random for each segment. It lets the reader find the next record
// behind a damaged one, and keeps a mail that carries the bytes of a record
// from passing for one. The floor is the key of the newest record before the
// segment, so that ids ascend when older segments are gone.
const (
	magic      = "invspool"
	version    = 1
	headSize   = 32
	headerSize = 32
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type mark [8]byte

// head is the beginning of a segment.
type head struct {
	mark  mark
	floor int64
}

func (h head) encode() []byte {
	b := make([]byte, 0, headSize)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = append(b, h.mark[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.floor))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

var errHead = errors.New("spool: not a segment of this version")

func decodeHead(b []byte) (head, error) {
	var h head
	if len(b) < headSize || string(b[:8]) != magic || binary.BigEndian.Uint32(b[8:]) != version ||
		binary.BigEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return h, errHead
	}
	copy(h.mark[:], b[12:])
	h.floor = int64(binary.BigEndian.Uint64(b[20:]))
	return h, nil
}

// header precedes a record.
type header struct {
	id       ID
	envelope int // length
	raw      int // length
	sum      uint32
}

func (h header) size() int64 { return headerSize + int64(h.envelope) + int64(h.raw) }

func (h header) append(b []byte, m mark) []byte {
	start := len(b)
	b = append(b, m[:]...)
	b = append(b, h.id[:8]...)
	b = binary.BigEndian.AppendUint32(b, uint32(h.envelope))
	b = binary.BigEndian.AppendUint32(b, uint32(h.raw))
	b = binary.BigEndian.AppendUint32(b, h.sum)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// decodeHeader reads the first headerSize bytes of b.
func decodeHeader(b []byte, m mark) (header, bool) {
	if len(b) < headerSize || mark(b[:8]) != m ||
		binary.BigEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return header{}, false
	}
	h := header{
		id:       newID(int64(binary.BigEndian.Uint64(b[8:]))),
		envelope: int(binary.BigEndian.Uint32(b[16:])),
		raw:      int(binary.BigEndian.Uint32(b[20:])),
		sum:      binary.BigEndian.Uint32(b[24:]),
	}
	if h.id.Key() < 0 || h.envelope > MaxRecord || h.raw > MaxRecord || h.envelope+h.raw > MaxRecord {
		return header{}, false
	}
	return h, true
}

// checksum covers envelope and raw bytes.
func checksum(envelope, raw []byte) uint32 {
	return crc32.Update(crc32.Checksum(envelope, castagnoli), castagnoli, raw)
}
