package locker

// #include "locker.h"
import "C"

import (
	"context"
	"time"
)

const defaultTimeout = 5 * time.Second

// Client is a connection to an etcd cluster, made by [Connect]. Any goroutine may use it at any time. It must not be
// copied. One that Connect did not make, nil or zero, fails with [ErrBadHandle].
type Client struct {
	handle  C.locker_client
	timeout time.Duration
	calls   slots
	ends    slots // for calls that end a handle
	guards  guards
	waiters waiters
}

// id is what C knows the client by; of a nil one: nothing.
func (c *Client) id() C.locker_client {
	if c == nil {
		return C.locker_client{}
	}
	return c.handle
}

// Connect connects to the cluster at endpoints, a comma-separated list of URLs such as "http://127.0.0.1:2379". It
// succeeds once one of them has answered. ctx is for connecting only; end the client with [Client.Disconnect].
//
// It fails with [ErrInvalid] (an endpoint or option is wrong), [ErrUnavailable] (no endpoint answered in time; the
// message names the one that was asked last) or [ErrDenied].
func Connect(ctx context.Context, endpoints string, options ...Option) (*Client, error) {
	if abi := C.locker_abi(); abi != C.LOCKER_ABI {
		return nil, invalid("liblocker has ABI %d but this program was built for ABI %d", abi, C.LOCKER_ABI)
	}
	if ctx.Err() != nil {
		return nil, interrupted(ctx, calling("connect to", endpoints))
	}
	o := connectOptions{}
	for _, option := range options {
		if option != nil {
			option(&o)
		}
	}
	if o.timeout == 0 {
		o.timeout = defaultTimeout
	}
	c := &Client{timeout: o.timeout, calls: newSlots(), ends: newSlots()}
	err := run(ctx, calling("connect to", endpoints), 0, func(C.int64_t) error {
		var a arguments
		in, out := o.toC(&a), &c.handle
		url := a.text("endpoints", endpoints)
		return a.call(func(e *C.locker_error) C.locker_code { return C.locker_connect(url, &in, out, e) })
	}, c.abandon)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (o *connectOptions) toC(a *arguments) C.locker_connect_options {
	return C.locker_connect_options{
		struct_size: C.sizeof_locker_connect_options,
		prefix:      a.optional("prefix", o.prefix),
		ttl_ms:      a.millis("ttl", o.ttl),
		timeout_ms:  a.millis("timeout", o.timeout),
		username:    a.optional("username", o.username),
		password:    a.optional("password", o.password),
		ca_file:     a.optional("ca_file", o.caFile),
		cert_file:   a.optional("cert_file", o.certFile),
		key_file:    a.optional("key_file", o.keyFile),
	}
}

// Disconnect ends all guards and watchers of the client and waits until etcd has confirmed it, at most until ctx ends
// or for the client's timeout. Whatever it returns, the client is disconnected; after an error its locks end with
// their lease at the latest. Calls that wait elsewhere end with [ErrCancelled]; later ones, and a second Disconnect, fail
// with [ErrBadHandle].
func (c *Client) Disconnect(ctx context.Context) error {
	var left map[*Guard]struct{}
	if c != nil {
		left = c.guards.take()
	}
	err := run(ctx, calling("disconnect"), 0, c.disconnect, func() {})
	if err != nil {
		c.abandon()
	}
	for g := range left {
		g.ended(disconnected(g.calling("lock")))
	}
	return err
}

func (c *Client) disconnect(limit C.int64_t) error {
	return try(func(e *C.locker_error) C.locker_code { return C.locker_disconnect(c.id(), limit, e) })
}

// abandon disconnects without waiting, and without effect on a client that is disconnected.
func (c *Client) abandon() { _ = c.disconnect(C.LOCKER_NO_WAIT) }

// Get reads who holds the lock name. That nobody does is no error: the Info then has the Token 0. It fails with
// [ErrUnavailable], [ErrDenied], [ErrInvalid], [ErrBadHandle] or, when ctx ends first, its error.
func (c *Client) Get(ctx context.Context, name string) (Info, error) {
	var info Info
	var out C.locker_info
	err := c.wait(ctx, calling("get", name), func(limit C.int64_t) error {
		var a arguments
		cName := a.text("name", name)
		return a.call(func(e *C.locker_error) C.locker_code {
			return C.locker_get(c.id(), cName, limit, &out, e)
		})
	}, func() {})
	if err == nil {
		info = toInfo(&out)
	}
	return info, err
}

// GetCached is [Client.Get] from memory where this client watches the lock or waits for it: then it asks nobody and waits
// for nothing. Else it asks etcd.
//
// What it tells was so at its Revision, which never goes back. It is behind by what is on its way, and never more than 10
// seconds old: memory is of no use from the moment when the connection to etcd breaks, or within these 10 seconds when
// etcd falls silent, until the watch has come to the present again.
func (c *Client) GetCached(ctx context.Context, name string) (Info, error) {
	var a arguments
	var out C.locker_info
	cName := a.text("name", name)
	err := a.call(func(e *C.locker_error) C.locker_code {
		return C.locker_get_cached(c.id(), cName, C.LOCKER_NO_WAIT, &out, e)
	})
	if err != nil {
		return c.Get(ctx, name) // whatever is wrong, it says so
	}
	return toInfo(&out), nil
}

// LiveHandles is how many clients, guards and watchers of this process have not been ended, for tests: one that ends
// with more than 0 has leaked.
func LiveHandles() int { return int(C.locker_live_handles()) }
