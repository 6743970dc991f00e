//! Refusals, redirects, and recipes.

use super::*;

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn status_cases() -> Vec<Case> {
    let refused = |name, status, body: &str| get_raw(name, reply(status, JSON, body), "Refused");
    let location = |to: &str| reply("302 Found", &format!("Location: {to}\r\n"), "");
    vec![
        refused(
            "invalid id, by the service",
            "400 Bad Request",
            r#"{"error":"Invalid worker ID format","message":"Worker ID must contain only lowercase letters, numbers, and hyphens"}"#,
        ),
        refused(
            "too long, by the service",
            "400 Bad Request",
            r#"{"error":"Worker ID too long"}"#,
        ),
        refused(
            "no token",
            "401 Unauthorized",
            r#"{"error":"Licence required"}"#,
        ),
        refused("wrong token", "403 Forbidden", ""),
        refused(
            "method",
            "405 Method Not Allowed",
            r#"{"error":"Method not allowed"}"#,
        ),
        refused("proxy", "407 Proxy Authentication Required", ""),
        refused("slow request", "408 Request Timeout", ""),
        refused("teapot", "418 I'm a teapot", ""),
        refused("too early", "425 Too Early", ""),
        refused(
            "internal",
            "500 Internal Server Error",
            r#"{"error":"Internal server error","message":"boom","timestamp":"2026-01-01T00:00:00Z"}"#,
        ),
        refused("not implemented", "501 Not Implemented", ""),
        refused("bad gateway", "502 Bad Gateway", ""),
        refused("unavailable", "503 Service Unavailable", ""),
        refused("gateway timeout", "504 Gateway Timeout", ""),
        refused("error is a number", "500 Oops", r#"{"error":5}"#),
        refused(
            "error with escapes",
            "400 Bad Request",
            r#"{"error":"\u001b[2Jgone","message":"a\r\nb\u202e"}"#,
        ),
        refused("error is no JSON", "400 Bad Request", "{{{"),
        refused("nothing to say", "206 Partial Content", GOOD),
        get_raw(
            "no content",
            raw("HTTP/1.1 204 No Content\r\n\r\n"),
            "Refused",
        ),
        get_raw(
            "plain refusal",
            reply("403 Forbidden", "Content-Type: text/plain\r\n", "go away"),
            "Refused",
        ),
        get_raw(
            "endless refusal",
            with(
                raw("HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\n\r\n"),
                Step::Flood(vec![b'x'; 1 << 16]),
            ),
            "Refused",
        ),
        get_raw(
            "asks for patience beyond any clock",
            reply(
                "503 Service Unavailable",
                "Retry-After: 18446744073709551615\r\n",
                "",
            ),
            "Refused",
        ),
        get_raw(
            "asks for patience",
            reply("429 Too Many Requests", "Retry-After: 86400\r\n", ""),
            "Refused",
        ),
        get_raw(
            "unknown worker",
            reply("404 Not Found", JSON, r#"{"error":"Worker not found"}"#),
            "NotFound",
        ),
        get_raw(
            "unknown path",
            reply(
                "404 Not Found",
                "Content-Type: text/plain\r\n",
                "404 Not Found",
            ),
            "NotFound",
        ),
        get_raw("gone", reply("410 Gone", "", ""), "NotFound"),
        get_raw(
            "unasked 304",
            raw("HTTP/1.1 304 Not Modified\r\n\r\n"),
            "NotACatalog",
        ),
        get_raw(
            "redirects in circles",
            location("/workers/w"),
            "TooManyRedirects",
        ),
        get_raw(
            "redirects to another port",
            location("http://127.0.0.1:1/workers/w"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects away",
            location("http://other.invalid/workers/w"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects to the metadata service",
            location("http://169.254.169.254/"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects to a file",
            location("file:///etc/passwd"),
            "OtherOrigin",
        ),
        get_raw(
            "redirects nowhere",
            reply("301 Moved Permanently", "", ""),
            "NotACatalog",
        ),
        get_raw(
            "redirects to nonsense",
            location("http://[::"),
            "NotACatalog",
        ),
    ]
}

pub fn recipe_cases() -> Vec<Case> {
    let recipe = |name, steps, expected| Case(name, Call::Recipe, Hurry::No, steps, expected);
    vec![
        recipe(
            "recipe missing",
            reply("404 Not Found", JSON, r#"{"error":"PKGBUILD not found"}"#),
            "RecipeNotFound",
        ),
        recipe(
            "recipe of HTML",
            reply("200 OK", "Content-Type: text/html\r\n", "<p>"),
            "NotACatalog",
        ),
        recipe(
            "recipe of HTML without a type",
            reply("200 OK", "", "\n<!DOCTYPE html><p>"),
            "NotACatalog",
        ),
        recipe("recipe of JSON", json("{}"), "NotACatalog"),
        recipe(
            "recipe in Latin-1",
            text(b"pkgname=caf\xe9\n"),
            "MalformedRecipe",
        ),
        recipe("recipe empty", text(" \n"), "MalformedRecipe"),
        recipe("recipe with a zero byte", text("a\0b"), "MalformedRecipe"),
        recipe(
            "recipe too large",
            text(vec![b'#'; (1 << 20) + 1]),
            "TooLarge",
        ),
        recipe(
            "recipe refused",
            reply("500 Oops", JSON, r#"{"error":"Failed to fetch PKGBUILD"}"#),
            "Refused",
        ),
    ]
}
