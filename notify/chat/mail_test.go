package chat

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"pushwatch/watcher"
	"pushwatch/watcher/setting"
)

// A mailServer takes mail, and answers commands as it is told to.
type mailServer struct {
	address string
	// reply returns the answer to a command ("EHLO", "RCPT", "." for the end of a mail …),
	// "" for the usual one, or "hang", "cut" or "endless".
	reply func(command, line string) string
	tls   *tls.Config // for STARTTLS

	mu       sync.Mutex
	commands []string
	taken    []string // mails that were answered with 250
}

func newMailServer(t testing.TB, implicit *tls.Config, reply func(command, line string) string) *mailServer {
	t.Helper()
	m := &mailServer{reply: reply}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if implicit != nil {
		listener = tls.NewListener(listener, implicit)
	}
	t.Cleanup(func() { listener.Close() })
	m.address = listener.Addr().String()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go m.session(conn)
		}
	}()
	return m
}

func (m *mailServer) session(conn net.Conn) {
	defer func() { conn.Close() }()
	conn.SetDeadline(time.Now().Add(hang))
	lines := bufio.NewReader(conn)
	// say answers a command, and reports whether the session goes on.
	say := func(command, line, usual string) bool {
		answer := ""
		if m.reply != nil {
			answer = m.reply(command, line)
		}
		switch answer {
		case "":
			answer = usual
		case "hang":
			io.Copy(io.Discard, lines)
			return false
		case "cut":
			return false
		case "endless":
			for {
				if _, err := io.WriteString(conn, "250-and more\r\n"); err != nil {
					return false
				}
			}
		}
		if command == "." && strings.HasPrefix(answer, "250") {
			m.mu.Lock()
			m.taken = append(m.taken, line)
			m.mu.Unlock()
		}
		_, err := io.WriteString(conn, answer+"\r\n")
		return err == nil
	}
	if !say("", "", "220 mail.example ESMTP") {
		return
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		command := strings.ToUpper(strings.FieldsFunc(line+" ", func(c rune) bool { return c == ' ' || c == ':' })[0])
		m.mu.Lock()
		m.commands = append(m.commands, line)
		m.mu.Unlock()
		usual := "250 ok"
		switch command {
		case "EHLO":
			usual = "250-mail.example\r\n250-AUTH PLAIN LOGIN CRAM-MD5\r\n250 8BITMIME"
			if m.tls != nil {
				usual = "250-mail.example\r\n250-STARTTLS\r\n250-AUTH PLAIN\r\n250 8BITMIME"
			}
		case "AUTH":
			usual = "235 welcome"
		case "QUIT":
			usual = "221 bye"
		case "STARTTLS":
			if !say(command, line, "220 go on") {
				return
			}
			secured := tls.Server(conn, m.tls)
			conn, lines, m.tls = secured, bufio.NewReader(secured), nil
			continue
		case "DATA":
			if !say(command, line, "354 go on") {
				return
			}
			if m.reply != nil && m.reply(command, line) != "" {
				continue
			}
			var text strings.Builder
			for {
				part, err := lines.ReadString('\n')
				if err != nil {
					return
				}
				if part == ".\r\n" {
					break
				}
				text.WriteString(part)
			}
			command, line = ".", text.String()
		}
		if !say(command, line, usual) || command == "QUIT" {
			return
		}
	}
}

func (m *mailServer) mails() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken
}

func (m *mailServer) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.commands, "\n")
}

// mailTo is a config for a mail server on this machine.
func mailTo(m *mailServer, query string) Config {
	return near("smtp://" + m.address + "/?from=watch@school.example&to=oncall@school.example&" + query)
}

func TestMail(t *testing.T) {
	m := newMailServer(t, nil, nil)
	c := mailTo(m, "fromName=Watch")
	c.Language = "zh-CN"
	d := delivery()
	for range 2 {
		if _, err := sender(t, c).Send(t.Context(), d); err != nil {
			t.Fatalf("Send = %v, want nil", err)
		}
	}
	mails := m.mails()
	if len(mails) != 2 {
		t.Fatalf("mails = %d, want one for each attempt", len(mails))
	}
	message, err := mail.ReadMessage(strings.NewReader(mails[0]))
	if err != nil {
		t.Fatal(err)
	}
	text, err := languages["zh-CN"].text(d.Body, &style{})
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(text, "\n")
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil || subject != first {
		t.Errorf("Subject = %q, %v, want %q", subject, err, first)
	}
	for name, want := range map[string]string{
		"From": `"Watch" <watch@school.example>`, "To": "<oncall@school.example>", "Message-ID": "<" + eventID + "@school.example>",
		"Auto-Submitted": "auto-generated", "Content-Type": "text/plain; charset=UTF-8",
	} {
		if got := message.Header.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	if _, err := message.Header.Date(); err != nil {
		t.Errorf("Date: %v", err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(message.Body))
	if got := strings.ReplaceAll(string(body), "\r\n", "\n"); err != nil || strings.TrimSpace(got) != text {
		t.Errorf("body = %q, %v, want %q", got, err, text)
	}
	if said := m.said(); !strings.Contains(said, "EHLO localhost\nMAIL FROM:<watch@school.example>") || strings.Count(said, "RCPT TO:<oncall@school.example>") != 2 || strings.Count(said, "RCPT") != 2 {
		t.Errorf("commands = %s", said)
	}

	if _, err := sender(t, mailTo(m, "subject=A+class&clientHost=watch.example&timeout=3s&useHTML=yes")).Send(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if message, err := mail.ReadMessage(strings.NewReader(m.mails()[2])); err != nil || message.Header.Get("Subject") != "A class" || !strings.Contains(m.said(), "EHLO watch.example") {
		t.Errorf("Subject = %q, %v, want the one of the URL", message.Header.Get("Subject"), err)
	}
}

// A subject is one line, and short, whatever the labels are.
func TestSubject(t *testing.T) {
	m := newMailServer(t, nil, nil)
	d := taskData()
	d.Labels["class"] = "a\r\nBcc: x@y.example\r\n" + strings.Repeat("é", 200)
	delivery := delivery()
	delivery.Body = body(watcher.PushFailed, d)
	if _, err := sender(t, mailTo(m, "")).Send(t.Context(), delivery); err != nil {
		t.Fatal(err)
	}
	message, err := mail.ReadMessage(strings.NewReader(m.mails()[0]))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil || message.Header.Get("Bcc") != "" || !strings.HasPrefix(subject, "a Bcc: x") || inCharacters(subject) != maxSubject {
		t.Errorf("Subject = %q, %v, header %v, want one short line", subject, err, message.Header)
	}
}

// What a server replies, when, and what it means.
func TestMailRefusals(t *testing.T) {
	tests := []struct {
		name  string
		reply map[string]string
		cause string // "" for delivered
		final bool
		says  string
	}{
		{"no such user", map[string]string{"RCPT": "550 5.1.1 no such user"}, "4xx", true, "smtp answered 550 5.1.1 no such user"},
		{"greylisted", map[string]string{"RCPT": "451 4.7.1 greylisted"}, "5xx", false, "smtp answered 451 4.7.1 greylisted"},
		{"sender refused", map[string]string{"MAIL": "553 sender"}, "4xx", true, "553 sender"},
		{"content refused", map[string]string{".": "554 spam"}, "4xx", true, "554 spam"},
		{"content refused for now", map[string]string{".": "452 disk full"}, "5xx", false, "452 disk full"},
		{"password", map[string]string{"AUTH": "535 5.7.8 bad s3cret-s3cret"}, "4xx", true, "535 5.7.8 bad ***"},
		{"busy", map[string]string{"": "421 too busy"}, "5xx", false, "421 too busy"},
		{"no service", map[string]string{"": "554 go away"}, "4xx", true, "554 go away"},
		{"ends after the mail", map[string]string{"RSET": "cut", "QUIT": "cut"}, "", false, ""},
		{"hangs after the mail", map[string]string{"RSET": "hang"}, "", false, ""},
		{"refuses to end", map[string]string{"RSET": "500 what", "QUIT": "500 what"}, "", false, ""},
		{"ends before", map[string]string{"MAIL": "cut"}, "other", false, "post to smtp: the server ended the session"},
		{"ends at once", map[string]string{"": "cut"}, "other", false, "the server ended the session"},
		{"talks no SMTP", map[string]string{"": "HTTP/1.1 400 Bad Request"}, "other", false, "post to smtp: "},
		{"hangs", map[string]string{"RCPT": "hang"}, "timeout", false, "wait for smtp: nothing within 300ms"},
		{"hangs at once", map[string]string{"": "hang"}, "timeout", false, "wait for smtp: nothing within 300ms"},
		{"endless", map[string]string{"EHLO": "endless"}, "other", false, "post to smtp: "},
	}
	for _, tt := range tests {
		m := newMailServer(t, nil, func(command, _ string) string { return tt.reply[command] })
		c := mailTo(m, "auth=plain")
		c.URL = setting.Plain(strings.Replace("smtp://"+m.address+"/?from=watch@school.example&to=oncall@school.example", "://", "://watch:s3cret-s3cret@", 1))
		if strings.Contains(tt.name, "hang") {
			c.Timeout = 300 * time.Millisecond
		}
		_, err := sender(t, c).Send(t.Context(), delivery())
		if tt.cause == "" {
			if err != nil || len(m.mails()) != 1 {
				t.Errorf("Send to a server that %s = %v, %d mails, want one, delivered", tt.name, err, len(m.mails()))
			}
			continue
		}
		if got := sendError(t, err); got.Cause.String() != tt.cause || got.Final != tt.final || !strings.Contains(got.Reason, tt.says) || len(m.mails()) != 0 || strings.Contains(got.Reason, "oncall@") {
			t.Errorf("Send to a server that %s = %+v, %d mails, want %s, final %t, %q", tt.name, got, len(m.mails()), tt.cause, tt.final, tt.says)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	m := newMailServer(t, nil, func(command, _ string) string {
		if command == "RCPT" {
			cancel()
			return "hang"
		}
		return ""
	})
	_, err := sender(t, mailTo(m, "")).Send(ctx, delivery())
	if got := sendError(t, err); got.Cause.Counts() || got.Reason != "interrupted" {
		t.Errorf("Send = %+v, want it interrupted, uncharged", got)
	}
}

// Mail goes by the notifier's authorities, guard and proxy.
func TestMailIsSecured(t *testing.T) {
	w := newWorld(t, nil)
	issuer := newAuthority(t)
	foreign := &tls.Config{GetCertificate: issuer.certificate}
	good := &tls.Config{GetCertificate: w.authority.certificate}
	tests := []struct {
		name     string
		implicit bool
		tls      *tls.Config
		query    string
		cause    string
	}{
		{"STARTTLS", false, good, "", ""},
		{"STARTTLS of another", false, foreign, "", "tls"},
		{"STARTTLS of another, skipped", false, foreign, "&skipTLSVerify=yes", ""},
		{"TLS", true, good, "&encryption=ImplicitTLS", ""},
		{"TLS of another", true, foreign, "&encryption=ImplicitTLS", "tls"},
		{"no STARTTLS", false, nil, "&requireStartTLS=yes", "other"},
		{"no STARTTLS wanted", false, good, "&useStartTLS=no", ""},
		{"none there", false, nil, "", ""},
	}
	for _, tt := range tests {
		var m *mailServer
		if tt.implicit {
			m = newMailServer(t, tt.tls, nil)
		} else {
			m = newMailServer(t, nil, nil)
			m.tls = tt.tls
		}
		w.routes["mail.example:25"] = m.address
		s := w.sender(t, "smtp://mail.example/?from=watch@school.example&to=oncall@school.example"+tt.query)
		if err := s.Check(t.Context()); (err != nil) != (tt.implicit && tt.cause != "") {
			t.Errorf("Check with %s = %v", tt.name, err)
		}
		_, err := s.Send(t.Context(), delivery())
		if tt.cause == "" {
			if err != nil || len(m.mails()) != 1 || strings.Contains(m.said(), "STARTTLS") != (tt.tls != nil && !tt.implicit && !strings.Contains(tt.query, "=no")) {
				t.Errorf("Send with %s = %v after %s", tt.name, err, m.said())
			}
			continue
		}
		if got := sendError(t, err); got.Cause.String() != tt.cause || len(m.mails()) != 0 {
			t.Errorf("Send with %s = %+v, want %s", tt.name, got, tt.cause)
		}
	}
	m := newMailServer(t, nil, nil)
	c := mailTo(m, "")
	c.AllowCIDRs = nil
	_, err := sender(t, c).Send(t.Context(), delivery())
	if got := sendError(t, err); got.Cause.String() != "blocked" || m.said() != "" {
		t.Errorf("Send to an address that is not open = %+v", got)
	}
	// A password is not sent in the clear.
	w.routes["mail.example:25"] = m.address
	_, err = w.sender(t, "smtp://watch:s3cret@mail.example/?from=watch@school.example&to=oncall@school.example").Send(t.Context(), delivery())
	if got := sendError(t, err); strings.Contains(m.said(), "AUTH") {
		t.Errorf("Send of a password without TLS = %+v after %s", got, m.said())
	}
}

func TestParseMail(t *testing.T) {
	for query, want := range map[string]string{
		"mail.example/?fromAddress=a@b.example&toAddresses=c@d.example":                       "25 implicit=false auth=NOAUTH",
		"u:p@mail.example:465/?from=a@b.example&to=c@d.example":                               "465 implicit=true auth=PLAIN",
		"u:p@mail.example:587/?from=a@b.example&to=c%2Btag@d.example&auth=CRAMMD5":            "587 implicit=false auth=CRAM-MD5",
		"u:p@mail.example:587/?from=a@b.example&to=c@d.example&auth=OAuth2&encryption=Auto":   "587 implicit=false auth=XOAUTH2",
		"u:p@mail.example:465/?from=a@b.example&to=c@d.example&auth=None&encryption=None":     "465 implicit=false auth=NOAUTH",
		"mail.example:25/?from=a@b.example&to=c+tag@d.example&starttls=no&title=T&auth=login": "25 implicit=false auth=LOGIN",
	} {
		u, err := url.Parse("smtp://" + query)
		if err != nil {
			t.Fatal(err)
		}
		to, err := parseMail(u)
		if err != nil {
			t.Errorf("parseMail(%s) = %v", query, err)
			continue
		}
		m := to.(*mailbox)
		if got := fmt.Sprintf("%s implicit=%t auth=%s", m.port, m.implicitTLS, m.auth); got != want {
			t.Errorf("parseMail(%s) = %s, want %s", query, got, want)
		}
		if strings.Contains(query, "tag") && m.to.Address != "c+tag@d.example" {
			t.Errorf("parseMail(%s) is for %s", query, m.to.Address)
		}
	}
}
