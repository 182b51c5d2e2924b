"""`rnnsim cache`: the folder of compiled kernels."""

import click

from rnnsim_cli.console import as_json, report, size


def contents():
    """Folder, number of files and bytes of the kernel cache."""
    from rnnsim.core.jit import cache_root, cached_files

    sizes = [path.stat().st_size for path in cached_files()]
    return {"folder": str(cache_root()), "files": len(sizes), "bytes": sum(sizes)}


@click.command("cache", short_help="Compiled kernels.")
@click.option("--clear", is_flag=True, help="Delete all compiled kernels, also those of older versions.")
@as_json
def command(clear, json_wanted):
    """Show where compiled kernels are kept and how large they are; --clear deletes them, and no other file of the folder.

    The folder is $RNNSIM_CACHE_DIR, or rnnsim/kernels in the user's cache folder.
    """
    if clear:
        from rnnsim.core.jit import cache_root, clear_cache

        folder = str(cache_root())
        freed, left = clear_cache()

        def lines():
            yield f"{folder}: {size(freed)} freed"
            if left:
                names = ", ".join(path.name for path in left[:3]) + (", ..." if len(left) > 3 else "")
                yield f"not deleted, because rnnsim did not write it: {names}"

        report({"folder": folder, "freed_bytes": freed, "left": [str(path) for path in left]}, json_wanted, lines)
        return
    found = contents()
    report(found, json_wanted, [f"{found['folder']}: {size(found['bytes'])} in {found['files']} files"])
