package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"pushwatch/watcher"
)

// Blind implements [watcher.Store]. It reads the newest announcement of each subject: the
// account or one of its applications.
func (a *Account) Blind(ctx context.Context) ([]watcher.Blindness, error) {
	newest := make(map[string]watcher.Blindness)
	err := a.db.each(ctx, func(scan scanner) error {
		var subject, kind, body string
		if err := scan(&subject, &kind, &body); err != nil {
			return err
		}
		if kind == string(watcher.WatcherSighted) {
			delete(newest, subject)
			return nil
		}
		var event struct {
			Data struct {
				SDKAppID int64     `json:"sdk_app_id"` // null stays 0
				Since    time.Time `json:"since"`
				Tasks    int       `json:"tasks"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(body), &event); err != nil {
			return err
		}
		newest[subject] = watcher.Blindness(event.Data)
		return nil
	}, `SELECT subject, type, body FROM events WHERE shard = ? AND sdk_app_id IS NULL AND type IN (?, ?) ORDER BY number`,
		a.shard, string(watcher.WatcherBlind), string(watcher.WatcherSighted))
	if err != nil {
		return nil, fmt.Errorf("read outages of account %s: %w", a.name, err)
	}
	return slices.Collect(maps.Values(newest)), nil
}
