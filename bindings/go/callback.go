package locker

/*
#include <stdint.h>
#include "locker.h"

// Made from the functions with //export below.
extern void lockerChanged(uintptr_t handle, locker_state state, locker_error *error);
extern void lockerEvent(uintptr_t watcher, locker_info *info, locker_error *error);
extern void lockerLog(uintptr_t sink, int32_t level, char *text);
extern void lockerFree(uintptr_t handle);

// user_data carries a cgo.Handle, which is a small number. On the Go side it is never of a pointer type, for which the
// garbage collector would take it.
static void changed(void *handle, locker_guard guard, locker_state state, const locker_error *error) {
	(void)guard;
	lockerChanged((uintptr_t)handle, state, (locker_error *)error);
}
static void event(void *handle, const locker_info *info, const locker_error *error) {
	lockerEvent((uintptr_t)handle, (locker_info *)info, (locker_error *)error);
}
static void logged(void *handle, int32_t level, const char *text) {
	lockerLog((uintptr_t)handle, level, (char *)text);
}
static void freed(void *handle) { lockerFree((uintptr_t)handle); }

static locker_code on_change(locker_guard guard, uintptr_t handle, locker_error *error) {
	return locker_on_change(guard, changed, (void *)handle, freed, error);
}
static locker_code watch(locker_client client, const char *name, uintptr_t handle, locker_watcher *out,
                         locker_error *error) {
	locker_watch_options options = {
		.struct_size = sizeof options, .on_event = event, .user_data = (void *)handle, .free_user_data = freed,
	};
	return locker_watch(client, name, &options, out, error);
}
static void set_log(int32_t level, uintptr_t handle) { locker_set_log(level, logged, (void *)handle, freed); }
*/
import "C"

import "runtime/cgo"

//export lockerChanged
func lockerChanged(handle C.uintptr_t, state C.locker_state, e *C.locker_error) {
	cgo.Handle(handle).Value().(*changes).changed(toState(state), toError(e))
}

//export lockerEvent
func lockerEvent(watcher C.uintptr_t, i *C.locker_info, e *C.locker_error) {
	w := cgo.Handle(watcher).Value().(*Watcher)
	if i == nil {
		w.stop(toError(e))
		return
	}
	w.push(toInfo(i))
}

//export lockerLog
func lockerLog(handle C.uintptr_t, level C.int32_t, text *C.char) {
	cgo.Handle(handle).Value().(*sink).tell(level, C.GoString(text))
}

// lockerFree is the last that C does with a handle: whoever still waits for a callback need not.
//
//export lockerFree
func lockerFree(handle C.uintptr_t) {
	h := cgo.Handle(handle)
	h.Value().(interface{ forgotten() }).forgotten()
	h.Delete()
}

// onChange has c told of the changes of a guard. C owns the handle to c from the call on, even a failed one.
func onChange(guard C.locker_guard, c *changes, e *C.locker_error) C.locker_code {
	return C.on_change(guard, C.uintptr_t(cgo.NewHandle(c)), e)
}

// watch subscribes w. C owns the handle to w from the call on, even a failed one.
func watch(c *Client, name *C.char, w *Watcher, e *C.locker_error) C.locker_code {
	return C.watch(c.id(), name, C.uintptr_t(cgo.NewHandle(w)), &w.handle, e)
}

// setLog has s told of the library's log; nil: nobody. C owns the handle to s from the call on.
func setLog(level C.int32_t, s *sink) {
	if s == nil {
		C.locker_set_log(0, nil, nil, nil)
		return
	}
	C.set_log(level, C.uintptr_t(cgo.NewHandle(s)))
}
