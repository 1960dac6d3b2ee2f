package main

import (
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"
	"go.uber.org/zap"
)

// locker is a lock that can be had again and again.
type locker interface {
	Lock() error
	Unlock() error
}

type peer struct {
	client    *clientv3.Client
	endpoints []string
	// own is the session of all that need only one: of locks with different names, and of one caller.
	own *concurrency.Session
	// others are those of more waiters for one name: two with one session would have one key, and both the lock.
	others []*concurrency.Session
	// held are kept until the end.
	held []locker
	// lock makes a lock of a name.
	lock func(session *concurrency.Session, name string) locker
}

// connect makes a client that writes no log: what it has to say it returns.
func (p *peer) connect() (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: p.endpoints, Logger: zap.NewNop()})
}

// sessions gives so many sessions, made at the first use and kept.
func (p *peer) sessions(count int) ([]*concurrency.Session, error) {
	for len(p.others) < count {
		session, err := concurrency.NewSession(p.client)
		if err != nil {
			return nil, err
		}
		p.others = append(p.others, session)
	}
	return p.others[:count], nil
}

type mutex struct{ *concurrency.Mutex }

func (p *peer) mutex(session *concurrency.Session, name string) locker {
	return mutex{concurrency.NewMutex(session, name)}
}

func (m mutex) Lock() error   { return m.Mutex.Lock(ctx) }
func (m mutex) Unlock() error { return m.Mutex.Unlock(ctx) }

type service struct {
	stub    v3lockpb.LockClient
	request *v3lockpb.LockRequest
	key     []byte
}

func (p *peer) service(session *concurrency.Session, name string) locker {
	request := &v3lockpb.LockRequest{Name: []byte(name), Lease: int64(session.Lease())}
	return &service{stub: v3lockpb.NewLockClient(p.client.ActiveConnection()), request: request}
}

func (s *service) Lock() error {
	reply, err := s.stub.Lock(ctx, s.request)
	if err == nil {
		s.key = reply.Key
	}
	return err
}

func (s *service) Unlock() error {
	_, err := s.stub.Unlock(ctx, &v3lockpb.UnlockRequest{Key: s.key})
	return err
}
