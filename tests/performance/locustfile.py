"""The load of a driver's portal: sign in, then look at the own data, risk and trips, three to two to one.

Against the demo (`make run`), from another terminal::

    locust -f tests/performance/locustfile.py --host=http://localhost:8000 --users=100 --spawn-rate=10

``--headless --run-time 30s`` does it without the web page.
"""

from __future__ import annotations

from locust import HttpUser, between, task


class InsuranceUser(HttpUser):
    """Somebody who is signed in and looks around; all are the demo's first driver."""

    wait_time = between(1, 3)

    def on_start(self) -> None:
        """Sign in."""
        answer = self.client.post("/api/v1/auth/login", json={"username": "driver0001", "password": "password0001"})
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    @task(3)
    def view_dashboard(self) -> None:
        """Look at the own data."""
        self.client.get("/api/v1/drivers/me")

    @task(2)
    def view_risk_score(self) -> None:
        """Look at the own score."""
        self.client.get("/api/v1/risk/me/score")

    @task(1)
    def view_trips(self) -> None:
        """Look at the newest trips."""
        self.client.get("/api/v1/drivers/me/trips?page=1&page_size=20")
