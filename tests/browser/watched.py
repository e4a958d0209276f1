"""A page of the browser, and what goes on behind it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import ConsoleMessage, Error, Page, Request

_FAILED = "Failed to load resource"


@dataclass
class Watched:
    page: Page
    home: str
    """Where the page may ask: scheme, host and port."""
    console_errors: list[str] = field(default_factory=list)
    """What scripts wrote there, exceptions, what the Content-Security-Policy refused; with the address it is about."""
    foreign_requests: list[str] = field(default_factory=list)
    failures_meant: list[str] = field(default_factory=list)
    """Parts of addresses whose failure the browser may report: the test makes them fail."""

    @contextmanager
    def listening(self) -> Iterator[None]:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", self._on_exception)
        self.page.on("request", self._on_request)
        yield
        self.page.remove_listener("console", self._on_console)
        self.page.remove_listener("pageerror", self._on_exception)
        self.page.remove_listener("request", self._on_request)

    def nothing_was_wrong(self) -> None:
        wrong = [error for error in self.console_errors if not self._is_meant(error)] + self.foreign_requests
        assert wrong == [], wrong

    def _is_meant(self, error: str) -> bool:
        return error.startswith(_FAILED) and any(part in error for part in self.failures_meant)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} {message.location['url']}")

    def _on_exception(self, error: Error) -> None:
        self.console_errors.append(str(error))

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self.home}/", "data:", "blob:")):
            self.foreign_requests.append(request.url)
