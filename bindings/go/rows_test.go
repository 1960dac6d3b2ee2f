package locker

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// row is a row of the table of faults. It tells how it went when the test ends, and in the file that LOCKER_REPORT names, as
// tests/c/row.h does.
type row struct {
	trials int
	figure string
}

// newRow begins a row: LOCKER_TRIALS, a tenth by default, of the trials that it asks for.
func newRow(t *testing.T, number int, name string, asked int) *row {
	scale, err := strconv.ParseFloat(os.Getenv("LOCKER_TRIALS"), 64)
	if err != nil {
		scale = 0.1
	}
	r := &row{trials: max(1, int(float64(asked)*scale))}
	t.Cleanup(func() {
		verdict, told := "ok", ""
		if t.Failed() {
			verdict, told = "FAILED", ": FAILED"
		}
		fmt.Printf("row %d: %s: %d of %d trials, %s%s\n", number, name, r.trials, asked, r.figure, told)
		if report := os.Getenv("LOCKER_REPORT"); report != "" {
			file, err := os.OpenFile(report, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
			if err == nil {
				_, err = fmt.Fprintf(file, "%d\t%s\t%d\t%d\t%s\t%s\n", number, name, r.trials, asked, r.figure, verdict)
				err = errors.Join(err, file.Close())
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	return r
}
