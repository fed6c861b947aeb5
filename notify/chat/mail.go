package chat

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/wneessen/go-mail"

	"pushwatch/notify"
	"pushwatch/notify/transport"
)

const mailName = "smtp"

// A mailbox is a [destination] for mail.
type mailbox struct {
	host, port     string
	from, to       *netmail.Address
	subject        string // empty: the first line of the text
	user, password string
	auth           mail.SMTPAuthType
	implicitTLS    bool // TLS from the first byte
	starttls       mail.TLSPolicy
	skipVerify     bool
	helo           string
	hidden         []string
}

// parseMail reads "smtp://USER:PASSWORD@HOST:PORT/?from=ADDRESS&to=ADDRESS". The default
// port is 25.
func parseMail(u *url.URL) (destination, error) {
	query, err := parameters(u, "fromaddress", "from", "fromname", "toaddresses", "to", "subject", "title", "auth", "encryption",
		"usestarttls", "starttls", "requirestarttls", "skiptlsverify", "clienthost", "timeout", "usehtml") // the last two have no effect
	if err != nil || u.Hostname() == "" {
		return nil, errForm
	}
	password, _ := u.User.Password()
	m := &mailbox{
		host: u.Hostname(), port: cmp.Or(u.Port(), "25"), user: u.User.Username(), password: password,
		subject: cmp.Or(query.Get("subject"), query.Get("title")), skipVerify: yes(query, "skiptlsverify", false),
		helo: cmp.Or(query.Get("clienthost"), "localhost"), hidden: words(u.String()),
	}
	if m.helo == "auto" {
		if m.helo, err = os.Hostname(); err != nil {
			m.helo = "localhost"
		}
	}
	plus := func(address string) string { return strings.ReplaceAll(strings.TrimSpace(address), " ", "+") } // a query decodes "+" as a space
	if m.from, err = netmail.ParseAddress(plus(cmp.Or(query.Get("fromaddress"), query.Get("from")))); err != nil {
		return nil, errForm
	}
	m.from.Name = cmp.Or(query.Get("fromname"), m.from.Name)
	recipients := slices.DeleteFunc(strings.Split(strings.Join(slices.Concat(query["toaddresses"], query["to"]), ","), ","),
		func(address string) bool { return strings.TrimSpace(address) == "" })
	address, err := single(recipients)
	if err != nil {
		return nil, err
	}
	if m.to, err = netmail.ParseAddress(plus(address)); err != nil {
		return nil, errForm
	}
	return m, m.secure(query)
}

// secure reads how the connection is encrypted and how the user authenticates.
func (m *mailbox) secure(query url.Values) error {
	switch strings.ToLower(query.Get("encryption")) {
	case "", "auto":
		m.implicitTLS = m.port == "465"
	case "implicittls":
		m.implicitTLS = true
	case "none", "explicittls":
	default:
		return errForm
	}
	m.starttls = mail.NoTLS
	if !m.implicitTLS && yes(query, "usestarttls", yes(query, "starttls", true)) {
		m.starttls = mail.TLSOpportunistic
		if yes(query, "requirestarttls", false) || strings.EqualFold(query.Get("encryption"), "explicittls") {
			m.starttls = mail.TLSMandatory
		}
	}
	auth := strings.ToLower(query.Get("auth"))
	if auth == "" || auth == "unknown" {
		auth = "none"
		if m.user != "" {
			auth = "plain"
		}
	}
	var known bool
	if m.auth, known = mailAuths[auth]; !known {
		return errForm
	}
	return nil
}

// mailAuths are the ways to authenticate, as a URL names them.
var mailAuths = map[string]mail.SMTPAuthType{
	"none": mail.SMTPAuthNoAuth, "plain": mail.SMTPAuthPlain, "login": mail.SMTPAuthLogin,
	"crammd5": mail.SMTPAuthCramMD5, "oauth2": mail.SMTPAuthXOAUTH2,
}

func (m *mailbox) name() string { return mailName }

func (m *mailbox) style() style { return style{} }

// maxSubject is the longest subject, in characters.
const maxSubject = 120

// compose makes the mail. Its id is derived from the event's, so that mail programs can
// recognise one that was sent twice.
func (m *mailbox) compose(text message) (*mail.Msg, error) {
	out := mail.NewMsg()
	subject := m.subject
	if subject == "" {
		first, _, _ := strings.Cut(text.text, "\n")
		limit := style{limit: maxSubject, length: inCharacters}
		subject = limit.cut(first)
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	out.Subject(subject)
	out.SetDate()
	out.SetMessageIDWithValue(text.id + "@" + domain)
	out.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: asks for no automatic replies
	out.SetBodyString(mail.TypeTextPlain, text.text+"\n")
	return out, errors.Join(out.FromFormat(m.from.Name, m.from.Address), out.To(m.to.Address))
}

func (m *mailbox) send(ctx context.Context, t *transport.Transport, text message) (status int, err error) {
	out, err := m.compose(text)
	if err != nil {
		return 0, &notify.SendError{Cause: notify.CauseInternal, Reason: "compose mail", Final: true}
	}
	parent := ctx
	ctx, cancel := t.Bounded(ctx)
	defer cancel()
	conn := &boundedConn{rest: maxSession}
	client, err := m.client(ctx, t, conn)
	if err == nil {
		err = contain(func() error { return client.DialAndSendWithContext(ctx, out) })
	}
	// Once the server has accepted the mail, it does not matter how the session ends.
	if err == nil || out.IsDelivered() {
		return 0, nil
	}
	if code, _ := mailReply(err); code == 0 && conn.broken != nil {
		err = conn.broken // the library does not wrap it
	}
	return 0, m.failure(t, parent, ctx, err)
}

// client returns a client for one session, over conn.
func (m *mailbox) client(ctx context.Context, t *transport.Transport, conn *boundedConn) (*mail.Client, error) {
	config, err := m.tls(t)
	if err != nil {
		return nil, err
	}
	options := []mail.Option{ // the timeout of ctx comes before the library's
		mail.WithTimeout(notify.MaxPause), mail.WithHELO(m.helo), mail.WithTLSConfig(config), mail.WithTLSPolicy(m.starttls),
		mail.WithUsername(m.user), mail.WithPassword(m.password), mail.WithoutNoop(),
		mail.WithDialContextFunc(func(dialing context.Context, _, _ string) (_ net.Conn, err error) {
			conn.Conn, err = m.dial(dialing, t, config)
			if err == nil {
				context.AfterFunc(ctx, func() { conn.Close() })
			}
			return conn, err
		}),
	}
	if m.auth != mail.SMTPAuthNoAuth {
		options = append(options, mail.WithSMTPAuth(m.auth))
	}
	return mail.NewClient(m.host, options...)
}

func (m *mailbox) tls(t *transport.Transport) (*tls.Config, error) {
	config, err := t.TLS(m.host)
	if err == nil && m.skipVerify {
		config.InsecureSkipVerify = true // the URL asks for it
	}
	return config, err
}

// maxSession is how many bytes are read from a mail server in one session.
const maxSession = 256 << 10

// dial opens the connection, with the TLS handshake if it begins with one.
func (m *mailbox) dial(ctx context.Context, t *transport.Transport, config *tls.Config) (net.Conn, error) {
	conn, err := t.Dial(ctx, net.JoinHostPort(m.host, m.port))
	if err != nil || !m.implicitTLS {
		return conn, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secured, nil
}

// A boundedConn is a connection that fails once a number of bytes was read.
type boundedConn struct {
	net.Conn
	rest   int   // bytes left to read
	broken error // why the last read failed
}

var errTalkative = errors.New("the server sent too much")

func (c *boundedConn) Read(p []byte) (n int, err error) {
	if c.rest <= 0 {
		err = errTalkative
	} else {
		n, err = c.Conn.Read(p[:min(len(p), c.rest)])
		c.rest -= n
	}
	c.broken = err
	return n, err
}

// failure returns the failure of a session. A server's reply begins with a code (RFC 5321,
// 4.2.1); from 500 on it is permanent.
func (m *mailbox) failure(t *transport.Transport, parent, session context.Context, err error) *notify.SendError {
	code, says := mailReply(err)
	switch {
	case parent.Err() == nil && session.Err() != nil:
		return t.Failed(parent, context.Cause(session), mailName, m.hidden...)
	case code == 0 || errors.Is(parent.Err(), context.Canceled):
		if errors.Is(err, io.EOF) {
			err = errors.New("the server ended the session")
		}
		return t.Failed(parent, err, mailName, m.hidden...)
	}
	failed := t.Failed(parent, errors.New(says), mailName, m.hidden...)
	_, shown, _ := strings.Cut(failed.Reason, ": ")
	return &notify.SendError{
		Cause: map[bool]notify.Cause{true: notify.CauseRefused, false: notify.CauseServer}[code >= 500],
		Final: code >= 500, Reason: fmt.Sprintf("%s answered %d %s", mailName, code, shown),
	}
}

// check opens a connection to the server and closes it.
func (m *mailbox) check(ctx context.Context, t *transport.Transport) error {
	parent := ctx
	ctx, cancel := t.Bounded(ctx)
	defer cancel()
	config, err := m.tls(t)
	var conn net.Conn
	if err == nil {
		conn, err = m.dial(ctx, t, config)
	}
	if err != nil {
		return t.Failed(parent, err, mailName, m.hidden...)
	}
	return conn.Close()
}

// replyPattern finds a mail server's reply in the library's error text.
var replyPattern = regexp.MustCompile(`\b([45][0-9]{2}) (.*)`)

// mailReply returns the server's reply that an error contains; code 0: none.
func mailReply(err error) (code int, says string) {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code, reply.Msg
	}
	failed, ok := errors.AsType[*mail.SendError](err)
	if !ok || failed.ErrorCode() == 0 {
		return 0, ""
	}
	text, _, _ := strings.Cut(failed.Error(), ", affected ")
	if found := replyPattern.FindStringSubmatch(text); found != nil {
		says = strings.Trim(found[2], `"`)
	}
	return failed.ErrorCode(), says
}
