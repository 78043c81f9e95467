package mailpit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// picture returns a red PNG in base64.
func picture(t *testing.T, width, height int) string {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(m, m.Bounds(), image.NewUniform(color.NRGBA{R: 0xff, A: 0xff}), image.Point{}, draw.Src)
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, m))
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// pngHeader returns the beginning of a PNG of the size, in base64.
func pngHeader(width, height uint32) string {
	head := append([]byte("IHDR"), make([]byte, 13)...)
	binary.BigEndian.PutUint32(head[4:], width)
	binary.BigEndian.PutUint32(head[8:], height)
	head[12], head[13] = 8, 2
	out := append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0d"), head...)
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(head)))
}

// middle returns the colour in the middle of a thumbnail.
func middle(t *testing.T, jpegFile string) (red, green uint32) {
	t.Helper()
	m, err := jpeg.Decode(strings.NewReader(jpegFile))
	require.NoError(t, err)
	require.Equal(t, image.Pt(180, 120), m.Bounds().Size())
	red, green, _, _ = m.At(90, 60).RGBA()
	return red, green
}
