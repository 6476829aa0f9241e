package main

import "unsafe"
