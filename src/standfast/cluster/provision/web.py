"""The web server: the site's files, and nothing else, under the site's name."""

from __future__ import annotations

from ..inventory import Site
from ..steps import Absent, Directory, File, Step, Unit
from .servers import USER

GROUP = "www-data"
_UNIT = "apache2"
_SITES = "/etc/apache2/sites-enabled"


def steps(site: Site) -> list[Step]:
    """Files, a virtual host for them, and that it runs."""
    return [
        Directory(
            site.files.root, "the web server reads what is in here, and can change none of it",
            USER, GROUP, 0o2750,
        ),
        File(
            f"{_SITES}/standfast.conf", virtual_host(site), "serves the site",
            check="apache2ctl -t -c 'Include %s'", tells=_UNIT, reload=True,
        ),
        Absent(
            f"{_SITES}/000-default.conf", "Debian's own page", tells=_UNIT, reload=True,
            brought_by="apache2",
        ),
        Unit(_UNIT, "the web server"),
    ]  # fmt: skip


def virtual_host(site: Site) -> str:
    """Its configuration (Apache 2.4, core and mod_authz_core)."""
    root = site.files.root
    return f"""\
# Written by standfast; `standfast cluster apply` writes it anew.
ServerName {site.domain}
ServerTokens Prod
ServerSignature Off
<VirtualHost *:80>
    ServerName {site.domain}
    ServerAlias www.{site.domain}
    DocumentRoot {root}
    <Directory {root}>
        Options SymLinksIfOwnerMatch
        AllowOverride None
        Require all granted
    </Directory>
    # What begins with a dot is nobody's business, but for what others prove a name with.
    <LocationMatch "/\\.(?!well-known/)">
        Require all denied
    </LocationMatch>
    ErrorLog ${{APACHE_LOG_DIR}}/error.log
    CustomLog ${{APACHE_LOG_DIR}}/access.log combined
</VirtualHost>
"""
