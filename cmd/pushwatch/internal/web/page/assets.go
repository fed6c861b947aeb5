package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strings"
)

//go:embed assets
var assetFiles embed.FS

// contentTypes of the assets: the system's own tables may say otherwise, or nothing.
var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

// assets are the files that views refer to. Each name has a hash of the content, so that
// a browser may cache the file for good.
type assets struct {
	paths map[string]string // by the name of the file: "page.css" → "/assets/page.0123456789.css"
	files map[string][]byte // by the name in the path
}

func loadAssets() assets {
	a := assets{make(map[string]string), make(map[string][]byte)}
	entries, err := assetFiles.ReadDir("assets")
	if err != nil {
		panic(err) // it is part of the binary
	}
	for _, entry := range entries {
		name := entry.Name()
		content, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		base, ext, _ := strings.Cut(name, ".")
		hashed := base + "." + hex.EncodeToString(sum[:5]) + "." + ext
		a.paths[name], a.files[hashed] = "/assets/"+hashed, content
	}
	return a
}

func (s *site) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	content, ok := s.assets.files[name]
	if !ok {
		in := &request{Request: r, Locale: s.locale(r)}
		s.render(w, in, errNoPage.Status, screen{SignedOut: true, view: view{Name: "fault", Title: errNoPage.Title, Data: errNoPage}})
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(content)
}
