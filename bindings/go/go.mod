// The path is a placeholder in a domain reserved for such; it becomes the real one when the project has a home.
module example.org/locker

go 1.25
