"""Plain geometry made on the spot: strips along the road, boxes, tapered cylinders, flat plates. Needs panda3d."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import numpy.typing as npt
from panda3d.core import (
    Geom,
    GeomEnums,
    GeomNode,
    GeomTriangles,
    GeomVertexData,
    GeomVertexFormat,
    NodePath,
)

FloatArray = npt.NDArray[np.float32]


def quads(corners: FloatArray, normals: FloatArray, texture_coordinates: FloatArray) -> NodePath:
    """A NodePath of n quadrilaterals.

    ``corners`` (n, 4, 3) in metres, counter-clockwise as seen; ``normals`` (n, 4, 3); ``texture_coordinates``
    (n, 4, 2), v upwards.
    """
    count = len(corners)
    table = GeomVertexData("quads", GeomVertexFormat.get_v3n3t2(), GeomEnums.UH_static)
    table.unclean_set_num_rows(4 * count)
    rows = np.concatenate([corners, normals, texture_coordinates], axis=2).astype(np.float32)
    memoryview(table.modify_array(0)).cast("B")[:] = memoryview(rows.tobytes())
    first = 4 * np.arange(count, dtype=np.uint32)[:, None]
    indices = (first + np.array([[0, 1, 2, 0, 2, 3]], dtype=np.uint32)).astype(np.uint32)
    triangles = GeomTriangles(GeomEnums.UH_static)
    triangles.set_index_type(GeomEnums.NT_uint32)
    vertices = triangles.modify_vertices()
    vertices.unclean_set_num_rows(indices.size)
    memoryview(vertices).cast("B")[:] = memoryview(indices.tobytes())
    geom = Geom(table)
    geom.add_primitive(triangles)
    node = GeomNode("quads")
    node.add_geom(geom)
    return NodePath(node)


def strips(spans: FloatArray, curvature: float, texture_metres: float) -> NodePath:
    """Flat pieces along a bent road.

    ``spans`` (n, 4): left and right offset from the centre line, near and far end, all in metres. The texture repeats
    every ``texture_metres``.
    """
    left, right, near, far = (spans[:, column] for column in range(4))
    along = np.stack([near, near, far, far], axis=1)
    across = np.stack([left, right, right, left], axis=1)
    # Offsets are taken along x, not along the normal: at these curvatures the difference is below a centimetre.
    corners = np.stack([across + curvature * along**2 / 2, along, np.zeros_like(along)], axis=2)
    up = np.broadcast_to(np.array([0, 0, 1], np.float32), corners.shape)
    return quads(corners, up, np.stack([across, along], axis=2) / texture_metres)


def box(texture_metres: float | None = None, size: tuple[float, float, float] = (1, 1, 1)) -> NodePath:
    """A box standing centred on the origin; its texture repeats every ``texture_metres``, or spans each face once."""
    width, length, height = size
    x, y = width / 2, length / 2
    faces = [
        ((-x, -y, 0), (x, -y, 0), (x, -y, height), (-x, -y, height), (0, -1, 0), (width, height)),
        ((x, -y, 0), (x, y, 0), (x, y, height), (x, -y, height), (1, 0, 0), (length, height)),
        ((x, y, 0), (-x, y, 0), (-x, y, height), (x, y, height), (0, 1, 0), (width, height)),
        ((-x, y, 0), (-x, -y, 0), (-x, -y, height), (-x, y, height), (-1, 0, 0), (length, height)),
        ((-x, -y, height), (x, -y, height), (x, y, height), (-x, y, height), (0, 0, 1), (0.01, 0.01)),
    ]
    corners = np.array([face[:4] for face in faces], np.float32)
    normals = np.repeat(np.array([[face[4]] for face in faces], np.float32), 4, axis=1)
    extents = np.array([face[5] if texture_metres else (1, 1) for face in faces], np.float32) / (texture_metres or 1)
    unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    return quads(corners, normals, unit[None] * extents[:, None])


def turned(profile: list[tuple[float, float]], sides: int = 10) -> NodePath:
    """A solid of revolution about z: ``profile`` lists (radius, height) in metres from bottom to top."""
    angles = np.linspace(0, 2 * np.pi, sides + 1)
    corners, normals, coordinates = [], [], []
    for (radius, low), (next_radius, high) in itertools.pairwise(profile):
        for start, stop in itertools.pairwise(angles):
            ring = [(radius, start, low), (radius, stop, low), (next_radius, stop, high), (next_radius, start, high)]
            corners.append([(r * np.cos(angle), r * np.sin(angle), z) for r, angle, z in ring])
            slope = (radius - next_radius) / (high - low) if high != low else 1.0
            normal = [np.array((np.cos(angle), np.sin(angle), slope)) for _, angle, _ in ring]
            normals.append([vector / np.linalg.norm(vector) for vector in normal])
            coordinates.append([(angle / np.pi, z) for _, angle, z in ring])
    return quads(np.array(corners, np.float32), np.array(normals, np.float32), np.array(coordinates, np.float32))


def plate(outline: list[tuple[float, float]], height: float) -> NodePath:
    """A flat sign face towards the viewer: ``outline`` counter-clockwise in the unit square, centred at ``height``."""
    points = np.array(outline, np.float32)
    centre = np.full((1, 2), 0.5, np.float32)
    following = np.roll(points, -1, axis=0)
    corners_2d = np.stack([np.broadcast_to(centre, points.shape), points, following, following], axis=1)
    corners = np.stack(
        [corners_2d[..., 0] - 0.5, np.zeros_like(corners_2d[..., 0]), corners_2d[..., 1] - 0.5 + height], axis=2
    )
    normals = np.broadcast_to(np.array([0, -1, 0], np.float32), corners.shape)
    return quads(corners, normals, corners_2d)


def dome(radius: float, rows: int = 6, columns: int = 32) -> NodePath:
    """The sky seen from inside: azimuth runs along u, elevation 0 to 90 degrees along v."""
    azimuth = np.linspace(0, 2 * np.pi, columns + 1)
    elevation = np.linspace(0, np.pi / 2, rows + 1)
    corners, coordinates = [], []
    for bottom, top in itertools.pairwise(elevation):
        for start, stop in itertools.pairwise(azimuth):
            ring = [(start, bottom), (stop, bottom), (stop, top), (start, top)]
            corners.append(
                [(radius * np.cos(h) * np.sin(a), radius * np.cos(h) * np.cos(a), radius * np.sin(h)) for a, h in ring]
            )
            coordinates.append([(a / (2 * np.pi), h / (np.pi / 2)) for a, h in ring])
    points = np.array(corners, np.float32)
    return quads(points, -points / radius, np.array(coordinates, np.float32))


@functools.cache
def cylinder() -> NodePath:
    """Radius and height 1, standing on the origin, closed at the top."""
    return turned([(1.0, 0.0), (1.0, 1.0), (0.0, 1.0)], sides=10)


def coloured(node: NodePath, colour: tuple[float, float, float], z: float) -> NodePath:
    """An instance of ``node`` in one colour, raised by ``z`` metres."""
    copy = NodePath("coloured")
    node.instance_to(copy)
    copy.set_color(*colour, 1)
    copy.set_z(z)
    return copy
