package locker

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	tree     = "../../" // from here
	examples = tree + "examples/go"
)

// fingerprint has go link anew when the library has changed, which go does not see.
func fingerprint(t *testing.T, path string) string {
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("-ldflags=-s -X=main.library=%x", hash.Sum(nil))
}

// installed is a place as `make install` of a C library leaves it: both libraries, the header, and locker.pc. The variables
// have go build with it; the macro, since go does not ask pkg-config again for what it has built.
func installed(t *testing.T) (lib string, variables []string) {
	root, err := filepath.Abs(tree)
	if err != nil {
		t.Fatal(err)
	}
	built, header := root+"/target/debug", root+"/include/locker.h"
	root += "/target/go/installed"
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	lib = root + "/lib"
	pc := "Name: locker\nDescription: locks\nVersion: 0\nCflags: -I" + root + "/include\n" +
		"Libs: -L" + lib + " -llocker\nLibs.private: -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc\n"
	for _, err := range []error{
		os.MkdirAll(root+"/include", 0o777), os.MkdirAll(lib, 0o777),
		os.Symlink(header, root+"/include/locker.h"),
		os.Symlink(built+"/liblocker.a", lib+"/liblocker.a"),
		os.Symlink(built+"/liblocker.so", lib+"/liblocker.so.1"),
		os.Symlink("liblocker.so.1", lib+"/liblocker.so"),
		os.WriteFile(lib+"/locker.pc", []byte(pc), 0o666),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return lib, []string{"PKG_CONFIG_PATH=" + lib, fmt.Sprintf("CGO_CFLAGS=-O2 -g -DLOCKER_PC_%x", sha256.Sum256([]byte(pc)))}
}

// Each way to link gives a program that locks, and those with locker_static one that needs no liblocker at run time.
func TestWaysToLink(t *testing.T) {
	lib, variables := installed(t)
	relink := fingerprint(t, tree+"target/debug/liblocker.a")
	for tags, static := range map[string]bool{"": false, "locker_static": true, "locker_tree": false, "locker_tree,locker_static": true} {
		program := filepath.Join(t.TempDir(), "lock")
		build := exec.Command("go", "build", "-o", program, "-tags="+tags, relink, "./lock")
		build.Dir = examples
		// As users build: without what the tests are built with.
		build.Env = append(append(os.Environ(), "GOFLAGS=", "GOEXPERIMENT="), variables...)
		// Below the directory for temporary files go refuses archives with parts for LLVM, as Rust's own are: the tree may
		// be there, as it is in many a test of this project.
		build.Env = append(build.Env, "TMPDIR="+t.TempDir())
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("-tags=%s: %v\n%s", tags, err, out)
			continue
		}
		file, err := elf.Open(program)
		if err != nil {
			t.Fatal(err)
		}
		needed, err := file.ImportedLibraries()
		file.Close()
		if err != nil || slices.ContainsFunc(needed, func(l string) bool { return strings.Contains(l, "liblocker") }) == static {
			t.Errorf("-tags=%s: needs %v, %v", tags, needed, err)
		}
		run := exec.Command(program)
		if tags == "" {
			run.Env = append(os.Environ(), "LD_LIBRARY_PATH="+lib)
		}
		if out, err := run.CombinedOutput(); err != nil || !bytes.HasPrefix(out, []byte("token ")) {
			t.Errorf("-tags=%s: %v, it says: %s", tags, err, out)
		}
	}
}

// Where the library is missing, the message names it.
func TestAMissingLibraryIsNamed(t *testing.T) {
	build := exec.Command("go", "build", "-o", os.DevNull, "./lock")
	build.Dir = examples
	// The macro is so that go does not remember what pkg-config said before.
	build.Env = append(os.Environ(), "GOFLAGS=", "GOEXPERIMENT=", "CGO_CFLAGS=-O2 -g -DLOCKER_IS_MISSING",
		"PKG_CONFIG_PATH=", "PKG_CONFIG_LIBDIR="+t.TempDir())
	out, err := build.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "locker.pc") {
		t.Errorf("%v: %s", err, out)
	}
}

// go vet warns who copies what must not be copied.
func TestCopiesAreVetted(t *testing.T) {
	vet := exec.Command("go", "vet", "-tags=locker_tree", "./testdata/copies")
	vet.Env = append(os.Environ(), "GOFLAGS=", "GOEXPERIMENT=")
	out, err := vet.CombinedOutput()
	for _, of := range []string{"Client", "Guard", "Watcher"} {
		if err == nil || !strings.Contains(string(out), ": example.org/locker."+of) {
			t.Errorf("%s: %v: %s", of, err, out)
		}
	}
}
