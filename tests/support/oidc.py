"""A small OpenID Connect provider on 127.0.0.1, which can also cheat."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import urlencode

import jwt
import uvicorn
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import RedirectResponse

CLIENT_ID, CLIENT_SECRET = "auto-insurance-test", "a secret of the client"


def new_key() -> rsa.RSAPrivateKey:
    """Return a signing key."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@dataclass
class Provider:
    """What the provider says of the one person that it knows, and how it signs."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=lambda: {"sub": "person-1"})
    overrides: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that are other than they should be; None leaves one out."""
    algorithm: str = "RS256"
    key: rsa.RSAPrivateKey = field(default_factory=new_key)
    signing_key: Any = None
    """Another key than the published one."""
    kid: str = "k1"
    discovered_issuer: str | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    key_reads: int = 0

    def id_token(self, nonce: str) -> str:
        """Return what the token endpoint answers."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce}
        claims = {k: v for k, v in {**usual, **self.claims, **self.overrides}.items() if v is not None}
        signing = self.key if self.signing_key is None else self.signing_key
        return jwt.encode(claims, signing, algorithm=self.algorithm, headers={"kid": self.kid})

    def app(self) -> FastAPI:
        """Return the provider's routes."""
        app = FastAPI()

        @app.get("/.well-known/openid-configuration")
        def discovery() -> dict[str, Any]:
            return {
                "issuer": self.discovered_issuer or self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }

        @app.get("/keys")
        def keys() -> dict[str, Any]:
            self.key_reads += 1
            jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
            return {"keys": [{**jwk, "kid": self.kid, "use": "sig"}]}

        @app.get("/authorize")
        def authorize(request: Request) -> RedirectResponse:
            query = dict(request.query_params)
            assert query["client_id"] == CLIENT_ID
            assert query["code_challenge_method"] == "S256"
            code = f"code-{len(self.codes)}"
            self.codes[code] = query
            return RedirectResponse(f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}")

        @app.post("/token")
        def token(
            request: Request, code: Annotated[str, Form()], code_verifier: Annotated[str, Form()]
        ) -> dict[str, Any]:
            wanted = self.codes.pop(code, None)
            basic = base64.b64encode(b"auto-insurance-test:a+secret+of+the+client").decode()
            plain = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
            if request.headers.get("Authorization") not in {f"Basic {basic}", f"Basic {plain}"}:
                raise HTTPException(401)
            digest = hashlib.sha256(code_verifier.encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            if wanted is None or wanted["code_challenge"] != challenge:
                raise HTTPException(400)
            return {"id_token": self.id_token(wanted["nonce"]), "access_token": "a", "token_type": "Bearer"}

        return app


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Serve a provider on a free port, in a thread."""
    provider = Provider()
    config = uvicorn.Config(provider.app(), host="127.0.0.1", port=0, log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        until = time.monotonic() + 30
        while not server.started and time.monotonic() < until:
            time.sleep(0.01)
        provider.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield provider
    finally:
        server.should_exit = True
        thread.join(10)
