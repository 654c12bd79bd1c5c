"""What the fold remembers of a device between two samples. Pure data with an exact binary form."""

from __future__ import annotations

import msgspec

from auto_insurance.trips.aggregate import OpenTrip


class DeviceState(msgspec.Struct, array_like=True):
    """A device after its last sample. Negative numbers stand for "none"; speeds in m/s unless named mph."""

    device_id: str = ""
    driver_id: str = ""
    zone: str = "UTC"
    last_us: int = -1
    silent: bool = False
    """The session was closed by silence: what comes within the silence needs the whole session again."""
    speed: float = -1.0
    over: int = -1
    over_mph: float = 0.0
    phone: int = -1
    moving: bool = False
    still_us: int = -1
    still_lat: float = 0.0
    still_lon: float = 0.0
    contradicted: bool = False
    good_us: int = -1
    good_lat: float = 0.0
    good_lon: float = 0.0
    anchor_us: int = -1
    anchor_lat: float = 0.0
    anchor_lon: float = 0.0
    stray_us: int = -1
    stray_lat: float = 0.0
    stray_lon: float = 0.0
    strays: int = 0
    units_steps: int = 0
    units_reported_m: float = 0.0
    units_implied_m: float = 0.0
    units_suspect: str | None = None
    trip: OpenTrip | None = None


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(DeviceState)


def dump_state(state: DeviceState) -> bytes:
    """Return the state as MessagePack; floats keep every bit."""
    return _encoder.encode(state)


def load_state(raw: bytes) -> DeviceState:
    """Read a saved state. Raises ``msgspec.ValidationError`` if it is of another form."""
    return _decoder.decode(raw)


_BLANK = DeviceState()


def reset_session(state: DeviceState, driver_id: str, zone: str) -> None:
    """Put a state back to the beginning of a session, in place: of the past only the check of units goes on."""
    for name in DeviceState.__struct_fields__:
        if not name.startswith("units_") and name != "device_id":
            setattr(state, name, getattr(_BLANK, name))
    state.driver_id, state.zone = driver_id, zone


def keep_units(old: DeviceState, new: DeviceState) -> None:
    """Let the check of units of ``old`` go on in ``new``, a state folded anew, unless that has seen more."""
    if old.units_steps >= new.units_steps:
        for name in DeviceState.__struct_fields__:
            if name.startswith("units_"):
                setattr(new, name, getattr(old, name))
