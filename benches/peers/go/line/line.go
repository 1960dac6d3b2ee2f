// Package line is what all programs here have in common: a command comes as one line of words, and its answer goes back
// as one line of JSON. See benches/src/child.rs for the other end.
package line

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Answer is what a command found out.
type Answer map[string]any

// Verb carries out a command with its words.
type Verb func(words []string) (Answer, error)

// Serve carries out commands until there are no more. A failure ends the program: nothing it measured is of use then.
func Serve(verbs map[string]Verb) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		verb, known := verbs[words[0]]
		if !known {
			log.Fatalf("no such command: %q", lines.Text())
		}
		answer, err := verb(words[1:])
		if err != nil {
			log.Fatalf("%s: %v", lines.Text(), err)
		}
		text, err := json.Marshal(answer)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(text))
	}
}

// Number reads a word that is one.
func Number(word string) int {
	n, err := strconv.Atoi(word)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

// Millis reads a word that is a time in milliseconds.
func Millis(word string) time.Duration { return time.Duration(Number(word)) * time.Millisecond }

// Clock measures the time and the processor time of this process.
type Clock struct {
	begun time.Time
	used  float64
}

// Start starts a clock.
func Start() Clock { return Clock{time.Now(), used()} }

// Stop says what has passed, in seconds.
func (c Clock) Stop() Answer {
	return Answer{"seconds": time.Since(c.begun).Seconds(), "cpu": used() - c.used}
}

func used() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

// Resident is how much memory of this process there is, in bytes.
func Resident() int {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		log.Fatal(err)
	}
	return Number(strings.Fields(string(text))[1]) * os.Getpagesize()
}
