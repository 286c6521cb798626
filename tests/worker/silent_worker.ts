// Never calls serveWorker.
