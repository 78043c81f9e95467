package mailpit

import (
	"bytes"
	"context"
	"image"
	"image/color"
	"image/draw"
	_ "image/gif" // decoders of what thumbnails are made of
	"image/jpeg"
	_ "image/png"
	"net/http"
)

// The size of a thumbnail. Source: Mailpit.
const thumbWidth, thumbHeight = 180, 120

// Limits of a picture that is decoded: a small file may unfold into a huge one.
const (
	maxSide   = 10_000
	maxPixels = 25_000_000
)

// getThumb serves GET /api/v1/message/{id}/part/{part}/thumb: a JPEG, white if
// the part is no picture, or too large a one.
func (h *Handler) getThumb(w http.ResponseWriter, r *http.Request) error {
	const op = "mailpit.getThumb"
	id, err := h.latest(r)
	if err != nil {
		return err
	}
	m, err := h.parsed(r.Context(), id)
	if err != nil {
		return err
	}
	p, ok := m.Part(r.PathValue("part"))
	if !ok || p.Multipart() {
		return missing(op, "404 page not found")
	}
	canvas := image.NewRGBA(image.Rect(0, 0, thumbWidth, thumbHeight))
	draw.Draw(canvas, canvas.Bounds(), image.White, image.Point{}, draw.Src)
	if picture, err := h.decode(r.Context(), p.Content()); err != nil {
		return err
	} else if picture != nil {
		fit(canvas, picture)
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, canvas, &jpeg.Options{Quality: 80}); err != nil {
		return classify(op, err)
	}
	w.Header().Set("Content-Type", "image/jpeg")
	w.Header().Set("Content-Disposition", disposition("inline", id+"-"+p.PartID+".jpg"))
	_, err = w.Write(out.Bytes())
	return err
}

// decode returns a picture, or nil if there is none to show. One picture is
// decoded at a time, since each may take 200 MB.
func (h *Handler) decode(ctx context.Context, data []byte) (image.Image, error) {
	config, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil || !decodable(config) {
		return nil, nil //nolint:nilerr // what is no picture has a blank thumbnail
	}
	select {
	case h.thumbs <- struct{}{}:
		defer func() { <-h.thumbs }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	picture, _, err := image.Decode(bytes.NewReader(data))
	if err != nil || picture.Bounds().Empty() {
		return nil, nil //nolint:nilerr // nor has a broken one
	}
	return picture, nil
}

// decodable reports whether a picture of this size may be decoded.
func decodable(c image.Config) bool {
	return c.Width > 0 && c.Height > 0 && c.Width <= maxSide && c.Height <= maxSide && c.Width*c.Height <= maxPixels
}

// fit draws a picture into the canvas: a small one in the middle as it is, a
// large one scaled down until one side fits, its margins cut off.
func fit(canvas *image.RGBA, picture image.Image) {
	b := picture.Bounds()
	scale := min(float64(b.Dx())/thumbWidth, float64(b.Dy())/thumbHeight)
	if b.Dx() <= thumbWidth || b.Dy() <= thumbHeight {
		scale = max(1, max(float64(b.Dx())/thumbWidth, float64(b.Dy())/thumbHeight))
	}
	left, top := (float64(b.Dx())-thumbWidth*scale)/2, (float64(b.Dy())-thumbHeight*scale)/2
	for y := range thumbHeight {
		for x := range thumbWidth {
			from := image.Rect(
				int(left+float64(x)*scale), int(top+float64(y)*scale),
				int(left+float64(x+1)*scale), int(top+float64(y+1)*scale),
			)
			if left+float64(x)*scale < 0 || top+float64(y)*scale < 0 {
				continue
			}
			if c, ok := average(picture, from.Add(b.Min).Intersect(b)); ok {
				canvas.SetRGBA(x, y, c)
			}
		}
	}
}

// average returns the colour of an area on white. Of a large area it looks at
// some points.
func average(picture image.Image, area image.Rectangle) (color.RGBA, bool) {
	const points = 4 // looked at, in each direction
	if area.Empty() {
		return color.RGBA{}, false
	}
	var r, g, b, n uint32
	stepX, stepY := max(1, area.Dx()/points), max(1, area.Dy()/points)
	for y := area.Min.Y; y < area.Max.Y; y += stepY {
		for x := area.Min.X; x < area.Max.X; x += stepX {
			cr, cg, cb, ca := picture.At(x, y).RGBA()
			r, g, b, n = r+(cr+0xffff-ca)>>8, g+(cg+0xffff-ca)>>8, b+(cb+0xffff-ca)>>8, n+1
		}
	}
	return color.RGBA{uint8(r / n), uint8(g / n), uint8(b / n), 0xff}, true
}
