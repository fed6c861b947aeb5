package page_test

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pushwatch/watcher"
)

// anHour has the world's last hour be one of a school day in which others used
// the account's quota for a while.
func (w *world) anHour() {
	for s := 3600.0; s >= 0; s -= 15 {
		a := fine("school")
		wave := math.Sin(s/700) + .25*math.Sin(s/41) + .15*math.Sin(s/23)
		a.Used = 9 + 5*wave
		a.Staleness = time.Duration((5 + 2*wave + math.Abs(math.Sin(s*s))) * float64(time.Second))
		crowd := math.Exp(-math.Pow((s-1700)/300, 2)) // how much the others are in the way
		if s > 1500 && s < 2000 {
			a.Granted = 11 + (2000-s)/62
			a.Used = min(a.Used, a.Granted)
		}
		a.Staleness += time.Duration(32 * crowd * float64(time.Second))
		late := 1 + .1*math.Sin(s/600) + .6/(1+math.Exp((s-1700)/120))*math.Exp(-max(0, 1700-s)/1800)
		for l, expected := range map[*watcher.Lateness]time.Duration{&a.Starts: 900 * time.Millisecond, &a.Stops: 2400 * time.Millisecond} {
			l.Expected = time.Duration(float64(expected) * late)
			l.Seen = time.Duration(float64(expected) * (late*late + .05*math.Sin(s/170)))
		}
		w.history.Sample(time.Now().Add(-time.Duration(s)*time.Second), []watcher.AccountStatus{a})
		w.show(a)
	}
}

// TestImages makes the pictures of the README in the folder that PUSHWATCH_IMAGES
// names:
//
//	PUSHWATCH_IMAGES=$PWD/.images go test -run TestImages ./cmd/pushwatch/internal/web/page
func TestImages(t *testing.T) {
	folder := os.Getenv("PUSHWATCH_IMAGES")
	if folder == "" {
		t.Skip("PUSHWATCH_IMAGES names no folder for the README's pictures")
	}
	save := func(name string, picture []byte) {
		picture, err := slim(picture)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	w.anHour()
	for i, class := range []string{"art-1a", "biology-2c", "english-4b", "history-3a", "geography-1d"} {
		ago := time.Duration(26-4*i) * time.Minute
		w.happen(w.register(class, ago+time.Minute, map[string]string{"room": fmt.Sprint(12 + i)}),
			seen{kind: watcher.PushPreparing, ago: ago + 20*time.Second, window: time.Second},
			seen{kind: watcher.PushStarted, ago: ago, window: 2 * time.Second, push: pushing(ago, 0)})
	}
	w.story()
	c := startChrome(t)
	tb := c.browse(t, w)
	for _, picture := range []struct {
		name, path, theme string
		height            int
	}{
		{"page-overview-light.png", "/", "light", 660},
		{"page-task.png", "/tasks/1400000001/physics-2a", "light", 1000},
	} {
		tb.size(1100, picture.height)
		tb.theme(picture.theme)
		tb.goTo(picture.path)
		save(picture.name, tb.picture())
	}
	save("demo.png", demoPicture(t, c))
}

// slim makes a PNG smaller, by having it of its 256 most frequent colors alone.
func slim(picture []byte) ([]byte, error) {
	full, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, err
	}
	often := make(map[color.Color]int)
	box := full.Bounds()
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			often[full.At(x, y)]++
		}
	}
	colors := slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return cmp.Compare(often[b], often[a]) })
	few := image.NewPaletted(box, colors[:min(256, len(colors))])
	draw.Draw(few, box, full, box.Min, draw.Src)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, few)
	return out.Bytes(), err
}
