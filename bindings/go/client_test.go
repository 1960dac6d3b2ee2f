package locker

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

func wantInvalid(t *testing.T, err error, argument string) {
	t.Helper()
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), argument) {
		t.Errorf("want %v naming %q, got %v", ErrInvalid, argument, err)
	}
}

func TestBadInput(t *testing.T) {
	c := connect(t, ownPrefix())
	ctx := within(t, patience)
	for _, name := range []string{"", strings.Repeat("n", 256), "a\x00b", "\xff\xfe"} {
		_, err := c.Lock(ctx, name)
		wantInvalid(t, err, "name")
		_, err = c.TryLock(ctx, name)
		wantInvalid(t, err, "name")
		_, err = c.Get(ctx, name)
		wantInvalid(t, err, "name")
		_, err = c.GetCached(ctx, name)
		wantInvalid(t, err, "name")
		_, err = c.Watch(ctx, name)
		wantInvalid(t, err, "name")
	}
	for _, value := range []string{strings.Repeat("v", 1024), "a\x00b", "\xff"} {
		_, err := c.Lock(ctx, "x", Value(value))
		wantInvalid(t, err, "value")
	}
	for _, reason := range []string{strings.Repeat("r", 256), "a\x00b", "\xff"} {
		_, err := c.Lock(ctx, "x", Reason(reason))
		wantInvalid(t, err, "reason")
	}
	name, value, reason := strings.Repeat("n", 255), strings.Repeat("v", 1023), strings.Repeat("r", 255)
	g := lock(t, c, name, Value(value), Reason(reason))
	if info := get(t, c, name); info.Name != name || info.Value != value || info.Reason != reason {
		t.Errorf("%+v", info)
	}
	unlock(t, g)
}

func TestBadOptions(t *testing.T) {
	const noFile, secure = "/no/such/file.pem", "https://127.0.0.1:1"
	for _, bad := range []struct {
		endpoints string
		argument  string
		options   []Option
	}{
		{"", "endpoints", nil},
		{",", "endpoints", nil},
		{"\xff", "endpoints", nil},
		{"http://a\x00b", "endpoints contains", nil},
		{"ftp://nowhere", "ftp://nowhere", nil},
		{endpoints, "ttl is negative", []Option{TTL(-time.Nanosecond)}},
		{endpoints, "ttl", []Option{TTL(1999 * time.Millisecond)}},
		{endpoints, "timeout is negative", []Option{Timeout(-time.Second)}},
		{endpoints, "prefix", []Option{Prefix("\xff")}},
		{endpoints, "prefix contains", []Option{Prefix("a\x00b")}},
		{endpoints, "username contains", []Option{User("a\x00b", "p")}},
		{endpoints, "password contains", []Option{User("u", "a\x00b")}},
		{secure, noFile, []Option{CAFile(noFile)}},
		{secure, noFile, []Option{CertFile(noFile), KeyFile(noFile)}},
		{secure, "key_file", []Option{CertFile(noFile)}},
	} {
		_, err := Connect(within(t, patience), bad.endpoints, bad.options...)
		wantInvalid(t, err, bad.argument)
	}
}

// deafEndpoint takes connections and never answers.
func deafEndpoint(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return "http://" + l.Addr().String()
}

func TestAnAbsentEtcdIsNamedInTime(t *testing.T) {
	for _, url := range []string{"http://127.0.0.1:1", deafEndpoint(t)} {
		start := time.Now()
		_, err := Connect(t.Context(), url, Timeout(500*time.Millisecond))
		if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), strings.TrimPrefix(url, "http://")) {
			t.Error(err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s: took %v", url, took)
		}
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	start := time.Now()
	url := deafEndpoint(t)
	_, err := Connect(within(t, 50*time.Millisecond), url, Timeout(2*time.Second))
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), url) {
		t.Error(err)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// A Client that Connect did not make.
func TestAClientThatWasNeverConnectedSaysSo(t *testing.T) {
	var c Client
	_, lockErr := c.Lock(t.Context(), "x")
	_, tryErr := c.TryLock(t.Context(), "x")
	_, getErr := c.Get(t.Context(), "x")
	_, cachedErr := c.GetCached(t.Context(), "x")
	_, watchErr := c.Watch(t.Context(), "x")
	for _, err := range []error{lockErr, tryErr, getErr, cachedErr, watchErr, c.Disconnect(t.Context())} {
		if !errors.Is(err, ErrBadHandle) {
			t.Error(err)
		}
	}
}

func TestAnEmptyPrefixIsNone(t *testing.T) {
	name := strings.ReplaceAll(strings.Trim(ownPrefix(), "/"), "/", "-")
	g := lock(t, connect(t, ""), name)
	removeKeys(t, name+"/") // where it is without a prefix
	come(t, g.Lost())
	if err := g.Unlock(t.Context()); !errors.Is(err, ErrLost) {
		t.Error(err)
	}
}

func TestADisconnectedClientSaysSo(t *testing.T) {
	c := connect(t, ownPrefix())
	if err := c.Disconnect(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	_, lockErr := c.Lock(t.Context(), "x")
	_, getErr := c.Get(t.Context(), "x")
	_, cachedErr := c.GetCached(t.Context(), "x")
	_, watchErr := c.Watch(t.Context(), "x")
	for _, err := range []error{lockErr, getErr, cachedErr, watchErr, c.Disconnect(t.Context())} {
		if !errors.Is(err, ErrBadHandle) {
			t.Error(err)
		}
	}
}
