"""`bramble flash-config`: write the first-boot files of a freshly flashed card, from the inventory."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bramble.cli import secret
from bramble.cli.inventory import chosen_host, loaded_inventory, refuse
from bramble.cli.options import HOST

if TYPE_CHECKING:
    from bramble.firstboot.volume import Volume
    from bramble.firstboot.wanted import FirstBoot, HostKey, Wifi
    from bramble.inventory.load import Host
    from bramble.ssh.config import Target

_WIFI = "wifi-"


@click.command("flash-config")
@HOST
@click.option(
    "--boot-volume",
    "folder",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where this computer has mounted the card's boot partition (bootfs).",
)
@click.option(
    "--public-key",
    "key_files",
    multiple=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="A public key that opens the account besides those of the inventory; repeatable.",
)
@click.option("--wifi", metavar="NAME", help="Join this Wi-Fi network.")
@click.option(
    "--wifi-country", metavar="CC", help="Where the radio is used, such as AT; needed for --wifi."
)
@secret.sources("the network's passphrase", "pass show wifi", _WIFI)
@click.option(
    "--host-key",
    is_flag=True,
    help="Make the node's SSH host key here, so that its first contact is trusted (Trixie). Whoever "
    "holds the card before its first boot can read it.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Replace files of another customisation, and the host's old key.",
)
def flash_config(
    host: str,
    folder: Path,
    key_files: tuple[Path, ...],
    wifi: str | None,
    wifi_country: str | None,
    host_key: bool,
    replace: bool,
    **sources: Any,
) -> None:
    """Write HOST's first-boot files onto a freshly flashed card that is mounted at DIR.

    They are name, account, SSH keys and time zone of the inventory, for the release that is on the card.
    The account has no password: it opens by its keys alone. What would leave a board that nobody can log
    in to is refused, and so is a card that is not recognised.

    \b
    bramble flash-config pi5-a --boot-volume /media/me/bootfs
    bramble flash-config pi5-a --boot-volume /Volumes/bootfs \\
        --wifi Home --wifi-country AT --wifi-from-command 'pass show wifi'
    """
    from bramble.firstboot.host_key import make
    from bramble.firstboot.of_host import hostname
    from bramble.inventory.headline import headline

    inventory = loaded_inventory()
    chosen = chosen_host(inventory, host)
    click.echo(headline(inventory, [host]), err=True)
    volume = _volume(folder)
    click.echo(
        f"{folder}: Raspberry Pi OS of {volume.day} ({volume.release}, told by {volume.way})"
    )
    there = _target(chosen)
    if host_key:
        _refuse_host_key(volume, chosen, there, replace)
    network = _wifi(wifi, wifi_country, sources)
    key = make(hostname(host, chosen.settings)) if host_key else None
    wanted = _wanted(chosen, there, key_files, network, key)
    _refuse_problems(wanted, volume, chosen)
    _write(volume, wanted, replace)
    if wanted.host_key:
        _trust(chosen, there, wanted.host_key)
    _tell_next(chosen, there, host_key)


def _volume(folder: Path) -> Volume:
    from bramble.firstboot.volume import VolumeError, read

    try:
        return read(folder)
    except VolumeError as error:
        raise click.ClickException(f"{error}; nothing was written") from error


def _target(chosen: Host) -> Target:
    from bramble.ssh.config import ConfigError, target

    ssh: Any = chosen.settings["ssh"]
    try:
        return target(ssh)
    except ConfigError as error:
        refuse(str(error))


def _wanted(
    chosen: Host,
    there: Target,
    key_files: Iterable[Path],
    wifi: Wifi | None,
    host_key: HostKey | None,
) -> FirstBoot:
    """Return what the first boot is to set, by the inventory and the options."""
    from bramble.firstboot import of_host
    from bramble.firstboot.public_keys import KeyFileError

    try:
        return of_host.wanted(chosen.name, chosen.settings, there, key_files, wifi, host_key)
    except KeyFileError as error:
        refuse(f"{error}; nothing was written")


def _wifi(name: str | None, country: str | None, sources: dict[str, Any]) -> Wifi | None:
    """Return the network that is asked for, with the key that its passphrase gives."""
    from bramble.firstboot.wanted import Wifi
    from bramble.firstboot.wifi import PassphraseError, psk

    if name is None:
        if country is not None or any(value is not None for value in sources.values()):
            refuse("--wifi NAME is needed with the other options of Wi-Fi")
        return None
    if country is None:
        refuse("--wifi-country is needed with --wifi: the radio stays off until it is known")
    passphrase = secret.given("the network's passphrase", sources, _WIFI)
    if passphrase is None:
        refuse(
            "--wifi needs its passphrase: by --wifi-from-env, --wifi-from-file or --wifi-from-command"
        )
    try:
        return Wifi(name, country, psk(name, passphrase))
    except PassphraseError as error:
        refuse(f"{error}; nothing was written")


def _refuse_problems(wanted: FirstBoot, volume: Volume, chosen: Host) -> None:
    """End the command where nobody could log in after the first boot, or not become root."""
    from bramble.firstboot.of_host import system
    from bramble.firstboot.wanted import problems

    found = problems(wanted, volume.way)
    own = system(chosen.settings)
    if own and own.passwordless_sudo is False:
        found.append(
            "base.passwordless_sudo is false, and the first boot gives the account no password "
            "that sudo could ask for: leave it out until you have set one on the node (`sudo "
            "passwd`)"
        )
    if found:
        refuse("\n".join(f"{wanted.host}: {why}" for why in found) + "\nnothing was written")


def _refuse_host_key(volume: Volume, chosen: Host, there: Target, replace: bool) -> None:
    """End the command where the first boot would not show a key that is made here."""
    from bramble.ssh import known_hosts

    ssh: Any = chosen.settings["ssh"]
    if volume.way != "cloud-init":
        refuse(
            f"--host-key: the first boot of {volume.release} takes no host key: leave it out, and "
            f"run `bramble trust {chosen.name}` once the board answers; nothing was written"
        )
    if volume.switches:
        refuse(
            f"--host-key: {volume.folder / volume.switches[0]} starts sshd before the key is "
            "there: remove it; nothing was written"
        )
    if known_hosts.keys(ssh.known_hosts, there.name) and not replace:
        refuse(
            f"--host-key: {ssh.known_hosts} has a key of {chosen.name} already, of the card "
            "before: --replace puts the new one in its place; nothing was written"
        )


def _write(volume: Volume, wanted: FirstBoot, replace: bool) -> None:
    """Write what differs, and name each file."""
    from bramble.firstboot import cloud_init, custom_toml, writing
    from bramble.firstboot.volume import NETWORK_CONFIG, VolumeError

    by_cloud_init = volume.way == "cloud-init"
    files = cloud_init.files(wanted, volume) if by_cloud_init else custom_toml.files(wanted)
    names = writing.changed(volume, files)
    if (foreign := writing.foreign(volume, names)) and not replace:
        refuse(
            f"{volume.folder} has {', '.join(foreign)} of another customisation: --replace writes "
            "ours in their place; nothing was written"
        )
    try:
        writing.write(volume, files, names)
    except VolumeError as error:
        raise click.ClickException(str(error)) from error
    for name in files:
        did = "wrote" if name in names else "as it is:"
        click.echo(f"{did} {volume.folder / name}")
    if by_cloud_init and writing.foreign(volume, {NETWORK_CONFIG} - files.keys()):
        click.echo(
            f"{volume.folder / NETWORK_CONFIG} is of another customisation, and stays as it is"
        )


def _trust(chosen: Host, there: Target, key: HostKey) -> None:
    from bramble.ssh import known_hosts

    ssh: Any = chosen.settings["ssh"]
    kind, data, *_ = key.public.split()
    try:
        known_hosts.put(ssh.known_hosts, there.name, kind, data)
    except OSError as error:
        raise click.ClickException(
            f"{ssh.known_hosts}: {error.strerror}: the card has a host key that is not trusted; "
            "run again with --replace"
        ) from error
    click.echo(f"{chosen.name} is trusted ahead; the key is in {ssh.known_hosts}")


def _tell_next(chosen: Host, there: Target, trusted: bool) -> None:
    """Print what to do with the card."""
    from bramble.ssh import known_hosts

    ssh: Any = chosen.settings["ssh"]
    old = " --replace" if known_hosts.keys(ssh.known_hosts, there.name) else ""
    click.echo("next: unmount the card, put it into the Pi, and switch that on")
    if trusted:
        click.echo(f"next: `bramble up {chosen.name}` once {there.shown} answers")
    else:
        click.echo(f"next: `bramble trust {chosen.name}{old}` once {there.shown} answers")
        click.echo(f"next: `bramble up {chosen.name}`")
