"""Control addresses below ``/_control``, through which other processes act on the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from sandbox.faults import Fault, Option
from sandbox.http import Request, Response, error_response

if TYPE_CHECKING:
    from sandbox.instance import Instance

Result = object
SWITCHES = ("token_life", "rotate", "refresh_tokens", "consent", "discovery", "callback_urls")
Body = Mapping[str, object]


class Control:
    """Runs the action that an address names, with the JSON object of the request."""

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.actions: Mapping[str, Callable[[Body], Result]] = {
            "insert": lambda body: instance.insert(
                text(body, "entity"), rows(body["rows"]), tenant(body)
            ),
            "update": lambda body: instance.update(
                text(body, "entity"), record(body["key"]), record(body["changes"]), tenant(body)
            ),
            "delete": lambda body: instance.delete(
                text(body, "entity"), record(body["key"]), tenant(body)
            ),
            "bulk-update": lambda body: instance.bulk_update(
                text(body, "entity"),
                record(body["changes"]),
                None if body.get("limit") is None else int(str(body["limit"])),
                tenant(body),
            ),
            "fill": lambda body: instance.fill(
                text(body, "entity"),
                int(str(body["count"])),
                start=str(body.get("start", "2024-01-01T00:00:00Z")),
                step_seconds=float(str(body.get("step_seconds", 1))),
                columns=record(body.get("columns", {})),
                tenant=tenant(body),
            ),
            "rename": lambda body: instance.rename(
                text(body, "entity"),
                record(body["key"]),
                record(body["changes"]),
                tenant(body),
                dated=bool(body.get("dated", True)),
            ),
            "hide-rows": lambda body: instance.hide_rows(
                text(body, "entity"),
                record(body["key"]),
                str(body.get("why", "")),
                tenant(body),
                dated=bool(body.get("dated", True)),
            ),
            "restrict": lambda body: instance.restrict(
                text(body, "entity"),
                None if body.get("visible") is None else int(str(body["visible"])),
                tenant(body),
            ),
            "track": lambda body: instance.track(text(body, "entity"), tenant=tenant(body)),
            "rows": lambda body: instance.rows(text(body, "entity"), tenant(body)),
            "forbid": lambda body: instance.forbid(
                text(body, "entity"),
                int(str(body.get("status", HTTPStatus.FORBIDDEN))),
                tenant(body),
            ),
            "allow": lambda body: instance.allow(text(body, "entity"), tenant(body)),
            "hide": lambda body: instance.hide(text(body, "entity"), tenant(body)),
            "declare": lambda body: instance.declare(
                text(body, "entity"),
                tenant(body),
                without=texts(body.get("without", [])),
                types={key: str(value) for key, value in record(body.get("types", {})).items()},
            ),
            "unlock": lambda _: instance.unlock(),
            "counters": lambda _: vars(instance.counters()),
            "log": lambda _: [asdict(entry) for entry in instance.log],
            "reset": lambda _: instance.reset_counters(),
            "clock": self.clock,
            "fault": lambda body: self.fault(dict(body)),
            "clear-faults": lambda _: instance.faults.clear(),
            "quirks": self.quirks,
            "grant": lambda body: (
                (
                    instance.grant(
                        tenant(body), str(body.get("scope", "api openid offline_access"))
                    )
                ).refresh_token
            ),
            "revoke": lambda body: instance.identity.revoke(access=bool(body.get("access", True))),
            "end-tokens": lambda _: instance.identity.end_access(),
            "identity": self.identity,
            "end-sessions": lambda _: instance.end_sessions(),
        }

    def clock(self, body: Body) -> str:
        """Set or advance the clock if the request says so; return its time."""
        if "set" in body:
            self.instance.clock.set(str(body["set"]))
        if "advance" in body:
            self.instance.clock.advance(float(str(body["advance"])))
        return self.instance.clock.now().isoformat()

    def fault(self, body: dict[str, object]) -> None:
        """Switch a fault on."""
        times, after = (int(str(body.pop(key, 0) or 0)) for key in ("times", "after"))
        kind, match = str(body.pop("kind")), str(body.pop("match", ""))
        options = cast("dict[str, Option]", body)
        self.instance.faults.add(Fault(kind, match, times or None, after, **options))

    def quirks(self, body: Body) -> Result:
        """Set the quirks in the request; return all of them."""
        for key, value in body.items():
            if not hasattr(self.instance.quirks, key):
                raise KeyError(key)
            setattr(self.instance.quirks, key, value)
        return vars(self.instance.quirks)

    def identity(self, body: Body) -> Result:
        """Set the switches of the identity server in the request; return all of them."""
        server = self.instance.identity
        for key, value in body.items():
            if key not in SWITCHES:
                raise KeyError(key)
            setting = set(value) if isinstance(value, list) else value
            setattr(server, key, float(setting) if isinstance(setting, Decimal) else setting)
        return {
            "client_id": self.instance.client_id,
            "client_secret": self.instance.client_secret,
            **{key: getattr(server, key) for key in SWITCHES},
            "callback_urls": sorted(server.callback_urls),
        }

    def __call__(self, action: str, request: Request) -> Response:
        """Answer a control request; without a body, the query holds the arguments."""
        run = self.actions.get(action.strip("/"))
        if run is None:
            known = ", ".join(self.actions)
            return error_response(HTTPStatus.NOT_FOUND, f"Known actions: {known}")
        try:
            body = json.loads(request.body, parse_float=Decimal) if request.body else request.query
            result = run(cast("Body", body))
        except (KeyError, ValueError, TypeError) as error:
            return error_response(HTTPStatus.BAD_REQUEST, f"{type(error).__name__}: {error}")
        return Response(body=json.dumps({"result": result}, default=str).encode())


def text(body: Body, key: str) -> str:
    """Return a string in the request."""
    return str(body[key])


def tenant(body: Body) -> str | None:
    """Return the tenant in the request, if there is one."""
    return None if body.get("tenant") is None else str(body["tenant"])


def texts(value: object) -> list[str]:
    """Return a list of strings, given one or many."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def record(value: object) -> Mapping[str, object]:
    """Return an object in the request.

    Raises:
        TypeError: The value is no object.
    """
    if not isinstance(value, Mapping):
        expected = "an object is expected"
        raise TypeError(expected)
    return value


def rows(value: object) -> list[Mapping[str, object]]:
    """Return a list of objects, given one or many."""
    return [record(item) for item in value] if isinstance(value, list) else [record(value)]
