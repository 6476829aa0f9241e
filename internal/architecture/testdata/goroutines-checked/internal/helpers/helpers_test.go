package helpers

func helperWithoutTests() {}
