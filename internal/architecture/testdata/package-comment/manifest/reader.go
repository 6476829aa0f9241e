// Reads chunks.
package manifest // want "no file says what package manifest is for"
