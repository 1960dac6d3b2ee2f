module example.org/locker/tests/checker

go 1.25

require example.org/locker v0.0.0

replace example.org/locker => ../../../../bindings/go
