package main // want "no file says what package main is for"
