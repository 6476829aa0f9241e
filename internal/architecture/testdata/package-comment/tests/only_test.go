package tests // want "package has tests only"
