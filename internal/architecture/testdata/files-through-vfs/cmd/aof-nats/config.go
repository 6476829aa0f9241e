package main

import "os"

func read() { os.ReadFile("config.toml") }
