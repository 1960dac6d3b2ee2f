package locker

import (
	"bytes"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// public is what the package exports, as `go doc` reads it: each name with its comment.
func public(t *testing.T) map[string]string {
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	p, err := doc.NewFromFiles(fset, files, "example.org/locker")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{"package": p.Doc}
	functions := func(of string, list []*doc.Func) {
		for _, f := range list {
			all[of+f.Name] = f.Doc
		}
	}
	functions("", p.Funcs)
	for _, kind := range p.Types {
		all[kind.Name] = kind.Doc
		functions("", kind.Funcs)
		functions(kind.Name+".", kind.Methods)
		for _, constants := range kind.Consts {
			commented(all, constants.Decl)
		}
		if s, is := kind.Decl.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType); is {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					all[kind.Name+"."+name.Name] = field.Doc.Text()
				}
			}
		}
	}
	return all
}

func commented(all map[string]string, constants *ast.GenDecl) {
	for _, spec := range constants.Specs {
		for _, name := range spec.(*ast.ValueSpec).Names {
			all[name.Name] = spec.(*ast.ValueSpec).Doc.Text()
		}
	}
}

// What everybody knows who knows Go.
var selfEvident = regexp.MustCompile(`\.(Error|String|Is|Unwrap)$`)

func TestAllThatIsExportedIsExplained(t *testing.T) {
	for name, comment := range public(t) {
		last := name[strings.LastIndex(name, ".")+1:]
		if token.IsExported(last) && comment == "" && !selfEvident.MatchString(name) {
			t.Error("no word about", name)
		}
	}
}

// The README tells of every function and method.
func TestTheReadmeKnowsThemAll(t *testing.T) {
	text := read(t, "README.md")
	for name := range public(t) {
		last := name[strings.LastIndex(name, ".")+1:]
		if !token.IsExported(last) || selfEvident.MatchString(name) || strings.HasPrefix(last, "State") || strings.HasPrefix(last, "Mode") {
			continue
		}
		if !regexp.MustCompile(`\b` + last + `\b`).MatchString(text) {
			t.Error("no word about", name)
		}
	}
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks are the blocks of code of a language in the README.
func blocks(t *testing.T, language string) (found []string) {
	for _, block := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		found = append(found, block[1])
	}
	if found == nil {
		t.Error("the README has no", language)
	}
	return found
}

// flat is code without its indentation.
func flat(code string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(code, "") }

// The code of the README is code of the examples, which are run.
func TestTheReadmeShowsTheExamples(t *testing.T) {
	examples := flat(read(t, "example_test.go"))
	for _, block := range blocks(t, "go") {
		if !strings.Contains(examples, flat(block)) {
			t.Errorf("not in example_test.go:\n%s", block)
		}
	}
}

// The commands of the README work, in the order in which they stand, from the root of the tree.
func TestTheCommandsOfTheReadmeWork(t *testing.T) {
	for _, block := range blocks(t, "sh") {
		cmd := exec.Command("sh", "-eu", "-c", block)
		cmd.Dir = tree
		path, err := filepath.Abs(tree + "target/debug")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOEXPERIMENT=", "PATH="+path+":"+os.Getenv("PATH"))
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("token ")) {
			t.Errorf("%v\n%s%s", err, block, out)
		}
	}
}
