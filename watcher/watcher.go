// Package watcher follows whiteboard pushes in Tencent's cloud until they end.
//
// A [Task] moves through its [State] values as polls of the [Cloud] show it. Each
// move is saved in one transaction with the [Event] that tells of it, so that a
// crash can neither lose nor repeat one. Nothing is sent from here: package
// notify does that, from what is saved.
package watcher
