"""A customer's own class of gunicorn worker, which loads the application in its own way."""

from __future__ import annotations

from gunicorn.workers.sync import SyncWorker


class OwnWorker(SyncWorker):  # type: ignore[misc]
    def load_wsgi(self) -> None:
        self.wsgi = self.app.wsgi()
