"""The descriptions for people: one page of plain HTML, no script, nothing from elsewhere."""

from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.6rem; } h2 { margin-top: 2.5rem; }
details { border: 1px solid #8888; border-radius: .5rem; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } summary code { font-weight: 600; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; background: #8882; padding: .6rem; border-radius: .4rem; }
table { border-collapse: collapse; } td, th { text-align: left; padding: .15rem .8rem .15rem 0; }
nav a { margin-right: 1rem; }
.method { display: inline-block; min-width: 4.5rem; }
"""


def render(http: dict[str, Any], events: dict[str, Any]) -> str:
    """The page for an OpenAPI and an AsyncAPI document."""
    tags = [tag["name"] for tag in http["tags"]]
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<title>liveserver API</title>",
        '<link rel="stylesheet" href="/docs.css"></head><body><main>',
        f"<h1>{escape(http['info']['title'])} {escape(http['info']['version'])}</h1>",
        f"<p>{escape(http['info']['description'])}</p>",
        '<nav aria-label="Sections">',
        *(f'<a href="#{escape(tag)}">{escape(tag)}</a>' for tag in tags),
        '<a href="#socket">viewer socket</a><a href="#schemas">shapes</a>',
        '<a href="/openapi.json">openapi.json</a><a href="/asyncapi.json">asyncapi.json</a></nav>',
        *(_section(tag, http) for tag in tags),
        '<h2 id="socket">Viewer socket and webhooks</h2>',
        *(_channel(name, channel, events) for name, channel in events["channels"].items()),
        '<h2 id="schemas">Shapes</h2>',
        *(_schema(name, schema) for name, schema in http["components"]["schemas"].items()),
        "</main></body></html>",
    ]
    return "\n".join(parts)


def _section(tag: str, http: dict[str, Any]) -> str:
    rows = [
        _operation(method, path, operation)
        for path, methods in http["paths"].items()
        for method, operation in methods.items()
        if tag in operation["tags"]
    ]
    return f'<h2 id="{escape(tag)}">{escape(tag.capitalize())}</h2>' + "\n".join(rows)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    roles = operation.get("x-roles")
    who = (
        "anyone"
        if roles is None
        else "; ".join(f"{role} ({', '.join(where)})" for role, where in roles.items())
    )
    body = [
        f"<details><summary><code><span class=method>{method.upper()}</span> {escape(path)}</code> "
        f"{escape(operation['summary'])}</summary>",
        f"<p>{escape(operation.get('description', ''))}</p><p>Who: {escape(who)}</p>",
    ]
    body += [
        f"<p><code>{escape(parameter['name'])}</code> ({parameter['in']})</p>"
        for parameter in operation["parameters"]
    ]
    body += [
        f"<p>Body: {escape(media)} {_link(content.get('schema', {}))}</p>"
        for media, content in operation.get("requestBody", {}).get("content", {}).items()
    ]
    body.append("<table><tr><th>Status</th><th>Meaning</th></tr>")
    for status, response in operation["responses"].items():
        shapes = "".join(_link(c["schema"]) for c in response.get("content", {}).values())
        body.append(
            f"<tr><td>{escape(status)}</td><td>{escape(response['description'])} {shapes}</td></tr>"
        )
    body.append("</table></details>")
    return "\n".join(body)


def _link(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<a href="#schema-{escape(name)}">{escape(name)}</a>' if name else ""


def _channel(name: str, channel: dict[str, Any], events: dict[str, Any]) -> str:
    rows = "".join(
        f"<li><code>{escape(key)}</code> {escape(_summary(message, events))}</li>"
        for key, message in channel.get("messages", {}).items()
    )
    address = channel.get("address") or name
    return (
        f"<details><summary><code>{escape(address)}</code> {escape(channel.get('title', ''))}"
        f"</summary><p>{escape(channel.get('description', ''))}</p><ul>{rows}</ul></details>"
    )


def _summary(message: dict[str, Any], events: dict[str, Any]) -> str:
    name = message.get("$ref", "").rpartition("/")[2]
    found = events["components"]["messages"].get(name, message)
    return str(found.get("summary", ""))


def _schema(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(field)}</code></td><td>{escape(_kind(kind))}</td>"
        f"<td>{'' if field in required else 'optional'}</td></tr>"
        for field, kind in schema.get("properties", {}).items()
    )
    text = escape(" ".join(schema.get("description", "").split()))
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<p>{text}</p><table>{rows}</table></details>"
    )


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(_kind(kind) for kind in schema["anyOf"])
    if "enum" in schema:
        return " | ".join("null" if value is None else str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {})) or 'values'}"
    return str(schema.get("type", "any"))
