"""`rnnsim cache`: the folder of compiled kernels."""

import click

from rnnsim_cli.console import as_json, report, size


def contents():
    """Folder, number of files and bytes of the kernel cache."""
    from rnnsim.core.jit import cache_root

    root = cache_root()
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()] if root.is_dir() else []
    return {"folder": str(root), "files": len(sizes), "bytes": sum(sizes)}


@click.command("cache", short_help="Compiled kernels.")
@click.option("--clear", is_flag=True, help="Delete all compiled kernels, those of older versions too.")
@as_json
def command(clear, json_wanted):
    """Where compiled kernels are kept and how much room they take; --clear deletes them.

    The folder is $RNNSIM_CACHE_DIR, or rnnsim/kernels in the user's cache folder.
    """
    if clear:
        from rnnsim.core.jit import cache_root, clear_cache

        folder = str(cache_root())
        freed = clear_cache()
        report({"folder": folder, "freed_bytes": freed}, json_wanted, [f"{folder}: {size(freed)} set free"])
        return
    found = contents()
    report(found, json_wanted, [f"{found['folder']}: {size(found['bytes'])} in {found['files']} files"])
