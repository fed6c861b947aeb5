package chat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"
)

func TestTelegram(t *testing.T) {
	const token = "123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI"
	tests := []struct {
		answer string
		status int
		result string // "" for none
	}{
		{`{"ok":true}`, 200, ""},
		{`{"ok":false}`, 200, "other"},
		{`<html>`, 200, "other"},
		{`{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}`, 400, "4xx"},
		{`<html>`, 502, "5xx"},
		{``, 429, "429"},
	}
	for _, tt := range tests {
		var chats []string
		host := serve(t, func(w http.ResponseWriter, r *http.Request) {
			var message struct {
				Text   string `json:"text"`
				Chat   string `json:"chat_id"`
				Thread int    `json:"message_thread_id"`
			}
			if err := json.NewDecoder(r.Body).Decode(&message); err != nil || message.Text != "hello" || r.URL.Path != "/bot"+token+"/sendMessage" {
				t.Errorf("request %s with %+v, %v, want hello for the bot", r.URL.Path, message, err)
			}
			chats = append(chats, fmt.Sprint(message.Chat, message.Thread))
			w.WriteHeader(tt.status)
			fmt.Fprint(w, tt.answer)
		})
		u, err := url.Parse("telegram://" + token + "@telegram/?chats=@oncall,-100123:7&parsemode=Markdown")
		if err != nil {
			t.Fatal(err)
		}
		service, err := open(u)
		if err != nil {
			t.Fatal(err)
		}
		service.(*telegramService).api = "http://" + host
		status, err := failed(u, service.Send("hello", nil))
		if tt.result == "" {
			if want := []string{"@oncall0", "-1001237"}; err != nil || !slices.Equal(chats, want) {
				t.Errorf("Send = %v to %q, want nil to %q", err, chats, want)
			}
			continue
		}
		want := tt.status
		if want == 200 {
			want = 0
		}
		if got := sendError(t, err); status != want || got.Cause.String() != tt.result || len(chats) != 1 {
			t.Errorf("Send answered %d %q = %d, %+v after %d requests, want %d, %s after 1", tt.status, tt.answer, status, got, len(chats), want, tt.result)
		}
	}
}
