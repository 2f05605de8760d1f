"""The classes of parts that PartNet tells apart in the four largest categories (Mo et al., CVPR 2019), as plain text.

A row is the official id, the path of the part below the category's own name, and the levels of detail, 1 (coarse) to 3, at which
it is a class. A part that is no class at a level belongs there to the class above it.
"""

_CHAIR = """
2 chair_head 1
3 chair_head/headrest 23
4 chair_head/head_connector 23
5 chair_back 1
6 chair_back/back_surface 2
7 chair_back/back_surface/back_surface_vertical_bar 3
8 chair_back/back_surface/back_surface_horizontal_bar 3
9 chair_back/back_surface/back_single_surface 3
10 chair_back/back_connector 23
11 chair_back/back_support 23
12 chair_back/back_frame 2
13 chair_back/back_frame/back_frame_vertical_bar 3
14 chair_back/back_frame/back_frame_horizontal_bar 3
15 chair_back/back_frame/back_holistic_frame 3
16 chair_arm 1
17 chair_arm/arm_sofa_style 23
18 chair_arm/arm_horizontal_bar 23
19 chair_arm/arm_near_vertical_bar 23
20 chair_arm/arm_writing_table 23
21 chair_arm/arm_holistic_frame 23
22 chair_arm/arm_connector 23
23 chair_base 1
25 chair_base/star_leg_base/star_leg_set 2
27 chair_base/star_leg_base/star_leg_set/caster/wheel 3
28 chair_base/star_leg_base/star_leg_set/caster/caster_stem 3
29 chair_base/star_leg_base/star_leg_set/leg 3
30 chair_base/star_leg_base/central_support 23
31 chair_base/star_leg_base/mechanical_control 2
32 chair_base/star_leg_base/mechanical_control/knob 3
33 chair_base/star_leg_base/mechanical_control/lever 3
35 chair_base/regular_leg_base/foot 23
36 chair_base/regular_leg_base/runner 23
37 chair_base/regular_leg_base/bar_stretcher 23
38 chair_base/regular_leg_base/rocker 23
39 chair_base/regular_leg_base/leg 23
41 chair_base/foot_base/foot 23
43 chair_base/pedestal_base/pedestal 23
44 chair_base/pedestal_base/central_support 23
45 chair_seat 1
46 chair_seat/seat_support 23
47 chair_seat/seat_frame 2
48 chair_seat/seat_frame/seat_holistic_frame 3
49 chair_seat/seat_frame/seat_frame_bar 3
50 chair_seat/seat_surface 2
51 chair_seat/seat_surface/seat_surface_bar 3
52 chair_seat/seat_surface/seat_single_surface 3
54 footrest/chair_base 23
56 footrest/chair_seat/seat_support 23
57 footrest/chair_seat/seat_surface 23
"""

_TABLE = """
4 game_table/ping_pong_table/ping_pong_net 123
5 game_table/ping_pong_table/tabletop 1
6 game_table/ping_pong_table/tabletop/tabletop_surface 23
7 game_table/ping_pong_table/table_base 1
9 game_table/ping_pong_table/table_base/regular_leg_base/bar_stretcher 23
10 game_table/ping_pong_table/table_base/regular_leg_base/leg 23
12 game_table/pool_table/pool_ball 23
13 game_table/pool_table/tabletop 1
14 game_table/pool_table/tabletop/tabletop_surface 23
15 game_table/pool_table/tabletop/tabletop_frame 2
16 game_table/pool_table/tabletop/tabletop_frame/bar 3
17 game_table/pool_table/table_base 1
19 game_table/pool_table/table_base/regular_leg_base/leg 23
22 picnic_table/regular_table/tabletop 1
23 picnic_table/regular_table/tabletop/tabletop_surface 23
24 picnic_table/regular_table/table_base 1
26 picnic_table/regular_table/table_base/regular_leg_base/leg 23
27 picnic_table/bench_connector 23
28 picnic_table/bench 123
30 regular_table/tabletop 1
31 regular_table/tabletop/tabletop_surface 2
32 regular_table/tabletop/tabletop_surface/glass 3
33 regular_table/tabletop/tabletop_surface/bar 3
34 regular_table/tabletop/tabletop_surface/board 3
35 regular_table/tabletop/tabletop_dropleaf 23
36 regular_table/tabletop/tabletop_frame 2
37 regular_table/tabletop/tabletop_frame/bar 3
38 regular_table/table_base 1
40 regular_table/table_base/star_leg_base/star_leg_set 2
41 regular_table/table_base/star_leg_base/star_leg_set/leg 3
42 regular_table/table_base/star_leg_base/central_support 23
44 regular_table/table_base/regular_leg_base/tabletop_connector 23
45 regular_table/table_base/regular_leg_base/bar_stretcher 23
46 regular_table/table_base/regular_leg_base/leg 23
47 regular_table/table_base/regular_leg_base/runner 23
48 regular_table/table_base/regular_leg_base/circular_stretcher 23
49 regular_table/table_base/regular_leg_base/foot 23
50 regular_table/table_base/regular_leg_base/caster 2
51 regular_table/table_base/regular_leg_base/caster/wheel 3
52 regular_table/table_base/regular_leg_base/caster/caster_stem 3
54 regular_table/table_base/drawer_base/tabletop_connector 23
55 regular_table/table_base/drawer_base/back_panel 23
56 regular_table/table_base/drawer_base/bar_stretcher 23
57 regular_table/table_base/drawer_base/leg 23
58 regular_table/table_base/drawer_base/vertical_side_panel 23
59 regular_table/table_base/drawer_base/shelf 23
60 regular_table/table_base/drawer_base/cabinet_door 2
61 regular_table/table_base/drawer_base/cabinet_door/handle 3
62 regular_table/table_base/drawer_base/cabinet_door/cabinet_door_surface 3
63 regular_table/table_base/drawer_base/drawer 2
65 regular_table/table_base/drawer_base/drawer/drawer_box/drawer_back 3
66 regular_table/table_base/drawer_base/drawer/drawer_box/drawer_bottom 3
67 regular_table/table_base/drawer_base/drawer/drawer_box/drawer_side 3
68 regular_table/table_base/drawer_base/drawer/drawer_box/drawer_front 3
69 regular_table/table_base/drawer_base/drawer/handle 3
70 regular_table/table_base/drawer_base/keyboard_tray 2
71 regular_table/table_base/drawer_base/keyboard_tray/keyboard_tray_surface 3
72 regular_table/table_base/drawer_base/vertical_front_panel 23
73 regular_table/table_base/drawer_base/foot 23
74 regular_table/table_base/drawer_base/bottom_panel 23
75 regular_table/table_base/drawer_base/caster 2
76 regular_table/table_base/drawer_base/caster/wheel 3
77 regular_table/table_base/drawer_base/caster/caster_stem 3
78 regular_table/table_base/drawer_base/vertical_divider_panel 23
80 regular_table/table_base/pedestal_base/pedestal 23
81 regular_table/table_base/pedestal_base/tabletop_connector 23
82 regular_table/table_base/pedestal_base/central_support 23
"""

_LAMP = """
4 ceiling_lamp/chandelier/lamp_unit_group 1
6 ceiling_lamp/chandelier/lamp_unit_group/lamp_unit/lamp_arm 23
7 ceiling_lamp/chandelier/lamp_unit_group/lamp_unit/lamp_head 2
9 ceiling_lamp/chandelier/lamp_unit_group/lamp_unit/lamp_head/lamp_cover/lamp_shade 3
10 ceiling_lamp/chandelier/lamp_unit_group/lamp_unit/lamp_head/light_bulb 3
11 ceiling_lamp/chandelier/lamp_body 123
12 ceiling_lamp/chandelier/chain 123
13 ceiling_lamp/chandelier/lamp_base 1
15 ceiling_lamp/chandelier/lamp_base/lamp_holistic_base/lamp_base_part 23
17 ceiling_lamp/pendant_lamp/power_cord 1
18 ceiling_lamp/pendant_lamp/power_cord/cord 23
19 ceiling_lamp/pendant_lamp/pendant_lamp_unit 1
20 ceiling_lamp/pendant_lamp/pendant_lamp_unit/chain 23
21 ceiling_lamp/pendant_lamp/pendant_lamp_unit/lamp_head 2
23 ceiling_lamp/pendant_lamp/pendant_lamp_unit/lamp_head/lamp_cover/lamp_shade 3
24 ceiling_lamp/pendant_lamp/pendant_lamp_unit/lamp_head/light_bulb 3
25 ceiling_lamp/pendant_lamp/lamp_base 1
27 ceiling_lamp/pendant_lamp/lamp_base/lamp_holistic_base/lamp_base_part 23
29 table_or_floor_lamp/power_cord 1
30 table_or_floor_lamp/power_cord/cord 23
31 table_or_floor_lamp/lamp_body 1
32 table_or_floor_lamp/lamp_body/lamp_pole 23
33 table_or_floor_lamp/lamp_body/lamp_body_solid 23
34 table_or_floor_lamp/lamp_body/lamp_body_jointed 2
36 table_or_floor_lamp/lamp_body/lamp_body_jointed/lamp_arm/lamp_arm_straight_bar 3
37 table_or_floor_lamp/lamp_body/lamp_body_vertical_panel 23
38 table_or_floor_lamp/lamp_unit 1
39 table_or_floor_lamp/lamp_unit/connector 23
40 table_or_floor_lamp/lamp_unit/lamp_arm 2
41 table_or_floor_lamp/lamp_unit/lamp_arm/lamp_arm_straight_bar 3
42 table_or_floor_lamp/lamp_unit/lamp_arm/lamp_arm_curved_bar 3
43 table_or_floor_lamp/lamp_unit/lamp_head 2
45 table_or_floor_lamp/lamp_unit/lamp_head/lamp_cover/lamp_shade 3
46 table_or_floor_lamp/lamp_unit/lamp_head/light_bulb 3
47 table_or_floor_lamp/lamp_unit/lamp_head/lamp_finial 3
48 table_or_floor_lamp/lamp_unit/lamp_head/lamp_wireframe_fitter 3
49 table_or_floor_lamp/lamp_base 1
51 table_or_floor_lamp/lamp_base/lamp_holistic_base/lamp_base_part 23
53 table_or_floor_lamp/lamp_base/lamp_leg_base/leg 23
55 wall_lamp/lamp_body 123
56 wall_lamp/lamp_unit 1
57 wall_lamp/lamp_unit/lamp_arm 2
58 wall_lamp/lamp_unit/lamp_arm/lamp_arm_straight_bar 3
59 wall_lamp/lamp_unit/lamp_arm/lamp_arm_curved_bar 3
60 wall_lamp/lamp_unit/lamp_head 2
62 wall_lamp/lamp_unit/lamp_head/lamp_cover/lamp_shade 3
63 wall_lamp/lamp_base 1
65 wall_lamp/lamp_base/lamp_holistic_base/lamp_base_part 23
67 street_lamp/lamp_post 123
68 street_lamp/street_lamp_base 123
69 street_lamp/lamp_unit 1
70 street_lamp/lamp_unit/lamp_arm 2
71 street_lamp/lamp_unit/lamp_arm/lamp_arm_straight_bar 3
72 street_lamp/lamp_unit/lamp_arm/lamp_arm_curved_bar 3
73 street_lamp/lamp_unit/lamp_head 2
75 street_lamp/lamp_unit/lamp_head/lamp_cover/lamp_shade 3
78 street_lamp/lamp_unit/lamp_head/lamp_cover/lantern_lamp_cover/lamp_cover_frame/lamp_cover_frame_top 3
79 street_lamp/lamp_unit/lamp_head/lamp_cover/lantern_lamp_cover/lamp_cover_frame/lamp_cover_frame_bottom 3
80 street_lamp/lamp_unit/lamp_head/lamp_cover/lantern_lamp_cover/lamp_cover_frame/lamp_cover_frame_bar 3
82 street_lamp/lamp_unit/lamp_head/light_bulb 3
83 street_lamp/lamp_unit/lamp_head/lamp_cover_holder 3
"""

_STORAGE = """
3 cabinet/countertop 123
4 cabinet/shelf 123
5 cabinet/cabinet_frame 1
6 cabinet/cabinet_frame/frame_vertical_bar 23
7 cabinet/cabinet_frame/back_panel 23
8 cabinet/cabinet_frame/top_panel 23
9 cabinet/cabinet_frame/vertical_side_panel 23
10 cabinet/cabinet_frame/frame_horizontal_bar 23
11 cabinet/cabinet_frame/vertical_front_panel 23
12 cabinet/cabinet_frame/bottom_panel 23
13 cabinet/cabinet_frame/vertical_divider_panel 23
14 cabinet/drawer 1
16 cabinet/drawer/drawer_box/drawer_back 23
17 cabinet/drawer/drawer_box/drawer_bottom 23
18 cabinet/drawer/drawer_box/drawer_side 23
19 cabinet/drawer/drawer_box/drawer_front 23
20 cabinet/drawer/handle 23
21 cabinet/cabinet_base 1
22 cabinet/cabinet_base/panel_base 2
23 cabinet/cabinet_base/panel_base/bottom_panel 3
24 cabinet/cabinet_base/panel_base/base_side_panel 3
25 cabinet/cabinet_base/foot_base 2
26 cabinet/cabinet_base/foot_base/foot 3
28 cabinet/cabinet_base/foot_base/caster/wheel 3
29 cabinet/cabinet_base/foot_base/caster/caster_stem 3
33 cabinet/cabinet_door 12
34 cabinet/cabinet_door/hinge 3
35 cabinet/cabinet_door/handle 3
36 cabinet/cabinet_door/cabinet_door_surface 3
"""

PARTS: dict[str, tuple[tuple[int, str, tuple[int, ...]], ...]] = {
    root: tuple(
        (int(number), f"{root}/{path}", tuple(map(int, levels)))
        for number, path, levels in (line.split() for line in text.split("\n") if line)
    )
    for root, text in (
        ("chair", _CHAIR),
        ("table", _TABLE),
        ("lamp", _LAMP),
        ("storage_furniture", _STORAGE),
    )
}
"""By category: official id, name with the category in front, and levels, ascending by id."""
